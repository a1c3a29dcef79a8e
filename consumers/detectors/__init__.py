"""The detectors, one file each; `engine` runs them. docs/extending.md builds one."""
