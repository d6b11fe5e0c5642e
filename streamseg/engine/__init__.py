"""The engine computes events from samples. It is pure: it uses no clock, thread, file, socket or log."""

from streamseg.engine.block_stream import segment
from streamseg.engine.segmenter import Segmenter

__all__ = ["Segmenter", "segment"]
