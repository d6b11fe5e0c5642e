"""The engine: samples in, events out; no clock, thread, file, socket or log."""

from streamseg.engine.segmenter import Segmenter, segment

__all__ = ["Segmenter", "segment"]
