"""The program of the child process that decodes a sound file with FFmpeg.

    parent: streamseg.sources.decoder                child: process.py
      starts the child ──────────────────────────▶  opens the file (container.py), decodes it
      ◀──────── one line per block: its length ───  converts samples into shared memory (converter.py, slots.py)
      copies the samples, sends one byte ────────▶  may use that slot again
      ◀──────────────── how decoding ended ───────  checks whether the file is truncated (truncation.py)

FFmpeg is C code that reads files from strangers. A decoder that crashes, loops for ever or asks for all memory ends the
child process only (limits.py), and the parent reports an error of that one stream. The child imports `av` and little of
the standard library: no NumPy, nothing else of streamseg. Both processes use `slots` and `messages`.
"""
