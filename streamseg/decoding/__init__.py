"""Decoding with FFmpeg, in a process of its own: this package is what that child process runs.

    parent: streamseg.sources.decoder                child: process.py
      starts it ─────────────────────────────────▶  opens the file (container.py), decodes
      ◀──────── one line a block: its length ─────  converts it into shared memory (converter.py, slots.py)
      copies it out, sends one byte ─────────────▶  may use that slot again
      ◀──────────────────── how it ended ─────────  looks whether the file was cut off (truncation.py)

FFmpeg reads what strangers made, in C. A decoder that crashes, spins or asks for all memory ends the child alone
(limits.py), and its parent makes that one stream's error of it. So the child imports `av` and little of the standard
library: no NumPy, nothing else of streamseg. Only `slots` and `messages` are used on both sides.
"""
