"""Runs the command line for `python -m streamseg`."""

from streamseg.cli import main

main()
