"""The six stacks, one file each."""
