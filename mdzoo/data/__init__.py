"""Where do structures and labels come from?"""

from mdzoo.data.datamodule import DataModule
from mdzoo.data.dataset import StructureSet
from mdzoo.data.doctor import Report, doctor
from mdzoo.data.graphs import graph_from_atoms
from mdzoo.data.labels import Batch, Labels, collate_batch
from mdzoo.data.readers import named_datasets, read
from mdzoo.data.twins import twins

__all__ = [
    "Batch",
    "DataModule",
    "Labels",
    "Report",
    "StructureSet",
    "collate_batch",
    "doctor",
    "graph_from_atoms",
    "named_datasets",
    "read",
    "twins",
]
