"""How good it is: scores against annotated sound, and pictures of them."""

from streamseg.evaluation.evaluate import Evaluation, TrackScore, evaluate_folder

__all__ = ["Evaluation", "TrackScore", "evaluate_folder"]
