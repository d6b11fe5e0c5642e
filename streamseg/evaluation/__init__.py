"""Scores the program on annotated sound, draws the results, and trains and tunes boundary classifiers."""

from streamseg.evaluation.evaluate import Evaluation, TrackScore, evaluate_folder

__all__ = ["Evaluation", "TrackScore", "evaluate_folder"]
