"""Recurrent layers, one ``nn.Module`` a file, with one interface, that of :class:`RecurrentLayer`:

``y, state = layer(x, state=None, *, lengths=None, reset=None, reverse=False)``, ``step``, ``initial_state`` and
``reset_parameters``. A layer of your own derives from :class:`RecurrentLayer` or, where it is a complex diagonal
recurrence between two linear maps, from :class:`DiagonalLayer`.
"""

from .base import RecurrentLayer
from .dense import DenseRNN
from .diagonal import DiagonalLayer, DiagonalRNN
from .gru import ChronoGRU
from .lru import LRU
from .lstm import ChronoLSTM
from .s4 import S4D

__all__ = [
    "LRU",
    "S4D",
    "ChronoGRU",
    "ChronoLSTM",
    "DenseRNN",
    "DiagonalLayer",
    "DiagonalRNN",
    "RecurrentLayer",
]
