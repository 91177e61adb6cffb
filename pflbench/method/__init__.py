"""The interface of a method: a client half, a server half, and messages between them."""

from pflbench.method.client import Client, Message
from pflbench.method.column_blocks import Columns
from pflbench.method.layout import Layout
from pflbench.method.local_data import LocalBudget, LocalData, Samples
from pflbench.method.new_client import Joining
from pflbench.method.optimiser import Optimiser, Sgd, State
from pflbench.method.phase import Adaptation, Phase
from pflbench.method.relatedness import Relatedness
from pflbench.method.schedule import Clip, Schedule
from pflbench.method.server import AveragingServer, Rows, Server, Setup
from pflbench.method.similarity import Similarity
from pflbench.method.storage import RowStore, Storage
from pflbench.method.task import Nature, Task

__all__ = [
    "Adaptation",
    "AveragingServer",
    "Client",
    "Clip",
    "Columns",
    "Joining",
    "Layout",
    "LocalBudget",
    "LocalData",
    "Message",
    "Nature",
    "Optimiser",
    "Phase",
    "Relatedness",
    "RowStore",
    "Rows",
    "Samples",
    "Schedule",
    "Server",
    "Setup",
    "Sgd",
    "Similarity",
    "State",
    "Storage",
    "Task",
]
