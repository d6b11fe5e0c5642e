"""The figures of docs/accuracy.md, measured again by one command."""
