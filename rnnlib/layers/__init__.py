"""Recurrent layers, one ``nn.Module`` a file, with one interface: ``forward``, ``initial_state``, ``step``."""

from .dense import DenseRNN
from .diagonal import DiagonalRNN
from .gru import ChronoGRU
from .lru import LRU
from .lstm import ChronoLSTM
from .s4 import S4D

__all__ = ["LRU", "S4D", "ChronoGRU", "ChronoLSTM", "DenseRNN", "DiagonalRNN"]
