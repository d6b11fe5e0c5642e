"""The engine: samples in, events out; no clock, thread, file, socket or log."""

from streamseg.engine.pipe import segment
from streamseg.engine.segmenter import Segmenter

__all__ = ["Segmenter", "segment"]
