"""Programs that measure the figures of docs/accuracy.md."""
