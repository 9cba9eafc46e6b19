"""Recurrent layers, one ``nn.Module`` a file, with one interface: ``forward``, ``initial_state``, ``step``."""

from .diagonal import DiagonalRNN
from .lru import LRU

__all__ = ["LRU", "DiagonalRNN"]
