"""Evaluation against annotated sound: scores, pictures, calibration and tuning."""

from streamseg.evaluation.evaluate import Evaluation, TrackScore, evaluate_folder

__all__ = ["Evaluation", "TrackScore", "evaluate_folder"]
