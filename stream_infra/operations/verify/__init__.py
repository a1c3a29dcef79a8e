"""The proof of a running deployment: a recording of its own through the real path, to a message, and nothing left.

`run` is the course; `steps` says what each step does and which parts it goes through; `subscriber` is the temporary
queue at the topics, `leftovers` what is deleted at the end. Causes of a failure are the doctor's.
"""
