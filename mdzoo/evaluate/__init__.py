"""Is it any good? Predictions beside labels, their errors with intervals, a picture and a table of them."""

from mdzoo.evaluate.metrics import metrics
from mdzoo.evaluate.predict import Predictions, predict, select

__all__ = ["Predictions", "metrics", "predict", "select"]
