"""The commands of the command line, one module for each; `command` in each module is the function that runs it."""
