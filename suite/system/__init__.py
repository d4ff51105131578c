"""The machine, the file system, git and the process: nothing of models."""
