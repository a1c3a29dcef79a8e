"""The doctor: what is wrong with a monitor, what causes it, and the section of the runbook that helps.

`facts` asks AWS, `causes` and `diagnosis` judge what it answered, without any I/O.
"""
