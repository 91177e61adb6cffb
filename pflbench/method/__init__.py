"""The interface of a method: a client half, a server half, and messages between them."""

from pflbench.method.client import Client, Message, State
from pflbench.method.layout import Layout
from pflbench.method.new_client import Joining
from pflbench.method.relatedness import Relatedness
from pflbench.method.server import AveragingServer, Rows, Server, Setup
from pflbench.method.similarity import Similarity
from pflbench.method.storage import RowStore, Storage
from pflbench.method.task import LocalBudget, LocalData, Samples, Sgd, Task

__all__ = [
    "AveragingServer",
    "Client",
    "Joining",
    "Layout",
    "LocalBudget",
    "LocalData",
    "Message",
    "Relatedness",
    "RowStore",
    "Rows",
    "Samples",
    "Server",
    "Setup",
    "Sgd",
    "Similarity",
    "State",
    "Storage",
    "Task",
]
