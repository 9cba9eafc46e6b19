r"""The gradient of a :math:`\lambda` that all steps share, from its parts: one for each chunk and sequence."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import add, load, pointers, store


@triton.jit(do_not_specialize=["rows", "N"])
def _sum(parts, total, rows, N, COMPLEX: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr):
    """Sum ``parts (rows, N)`` over rows in float64, in a fixed order, and round it to the precision of ``total``: one
    launch in place of PyTorch's two, a sum and a cast."""
    channel = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    row = tl.arange(0, ROWS)[:, None]
    re = tl.zeros((ROWS, COLUMNS), tl.float64)
    value = re, re
    for _rows in range(0, rows, ROWS):
        part = pointers(parts, row.to(tl.int64) * N + channel, COMPLEX)
        value = add(value, load(part, (row < rows) & (channel < N), COMPLEX))
        row += ROWS
    re, im = tl.sum(value[0], axis=0)[None, :], tl.sum(value[1], axis=0)[None, :]
    store(pointers(total, channel, COMPLEX), (re, im), channel < N, COMPLEX)
