"""Floor 5: data, training, checkpoints."""

from pullback.train.balanced import Balanced
from pullback.train.callbacks import Callback, Recorder
from pullback.train.dataset import Dataset
from pullback.train.logs import Log, TensorBoard
from pullback.train.metrics import METRICS
from pullback.train.plateaus import BestModel, EarlyStopping, ReduceOnPlateau
from pullback.train.range_test import RangeTest, find_learning_rate
from pullback.train.scoring import Metric, find_metric
from pullback.train.sources import Source, from_frame, load, load_images, read_table
from pullback.train.stream import Stream
from pullback.train.table import TablePreprocessor
from pullback.train.trainer import Trainer

__all__ = [
    "METRICS",
    "Balanced",
    "BestModel",
    "Callback",
    "Dataset",
    "EarlyStopping",
    "Log",
    "Metric",
    "RangeTest",
    "Recorder",
    "ReduceOnPlateau",
    "Source",
    "Stream",
    "TablePreprocessor",
    "TensorBoard",
    "Trainer",
    "find_learning_rate",
    "find_metric",
    "from_frame",
    "load",
    "load_images",
    "read_table",
]
