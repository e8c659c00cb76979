"""Floor 5: data, training, checkpoints."""

from pullback.train.callbacks import Callback, Recorder
from pullback.train.dataset import Dataset
from pullback.train.metrics import METRICS
from pullback.train.scoring import Metric, find_metric
from pullback.train.sources import Source, from_frame, load, read_table
from pullback.train.stream import Stream
from pullback.train.table import TablePreprocessor
from pullback.train.trainer import Trainer

__all__ = [
    "METRICS",
    "Callback",
    "Dataset",
    "Metric",
    "Recorder",
    "Source",
    "Stream",
    "TablePreprocessor",
    "Trainer",
    "find_metric",
    "from_frame",
    "load",
    "read_table",
]
