"""The scan inside ``torch.compile``, imported there alone: the decorator brings all of the compiler with it."""

from __future__ import annotations

import torch
from torch import Tensor

from .differentiation import differentiable


@torch.compiler.allow_in_graph
def scan_in_graph(lam: Tensor, x: Tensor, h0: Tensor, reverse: bool, backend: str) -> Tensor:
    """The compiler cannot look into a Function that defines ``jvp``, so it takes the call whole."""
    return differentiable(lam, x, h0, reverse, backend)
