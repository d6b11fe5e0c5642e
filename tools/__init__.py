"""Development programs that are not shipped: `python -m tools.GROUP.NAME` from the repository's root."""
