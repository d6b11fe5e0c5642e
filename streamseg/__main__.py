"""`python -m streamseg` is `streamseg`."""

from streamseg.cli import main

main()
