"""Triton's interpreter made faster: the same kernels, the same numbers, in less time.

The interpreter composes the maps of strips element by element, and prepares the language again for each call of a
function by a kernel. In the context below it composes all columns at once and prepares the language once. Needs
``TRITON_INTERPRET=1`` set before triton is imported, and reaches into the release of triton that is pinned.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

from rnnlib.scan import cuda
from rnnlib.scan.cuda import chunks, elements, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_ELEMENT = interpreter.ReduceOps.generic_reduce


@contextlib.contextmanager
def faster() -> Iterator[None]:
    """In this context kernels are interpreted faster; not for several threads."""
    scan, reduce, prepare = interpreter.ScanOps, interpreter.ReduceOps, interpreter._patch_lang
    before = scan.generic_scan, reduce.generic_reduce, prepare
    prepared = {}  # by namespace of a function, how to undo it

    def once(function):
        namespace = function.__globals__
        if id(namespace) not in prepared:
            prepared[id(namespace)] = prepare(function)
        return _Prepared

    scan.generic_scan, reduce.generic_reduce, interpreter._patch_lang = _scan, _reduce, once
    try:
        yield
    finally:
        scan.generic_scan, reduce.generic_reduce, interpreter._patch_lang = before
        for scope in reversed(prepared.values()):
            scope.restore()


class _Prepared:
    """What is prepared stays so until the context ends."""

    restore = staticmethod(lambda: None)


def _scan(self, values):
    """Inclusive scan along ``self.axis``, a row of it after the other."""
    rows = [np.moveaxis(value.handle.data, self.axis, 0) for value in values]
    results = [np.empty_like(row) for row in rows]
    for k in range(len(rows[0])):
        row = tuple(self.to_tensor(data[k], value.dtype) for data, value in zip(rows, values, strict=True))
        so_far = self.combine_fn.fn(*so_far, *row) if k else row
        so_far = so_far if isinstance(so_far, tuple) else (so_far,)
        for result, value in zip(results, so_far, strict=True):
            result[k] = value.handle.data
    return [
        self.to_tensor(np.moveaxis(result, 0, self.axis), value.dtype)
        for result, value in zip(results, values, strict=True)
    ]


def _reduce(self, values):
    """The last row of the scan; a reduction of all axes, which no kernel here has, stays the interpreter's own."""
    if self.axis is None:
        return _BY_ELEMENT(self, values)
    last = [-1] if self.keep_dims else -1
    return [
        self.to_tensor(np.take(result.handle.data, last, self.axis), result.dtype) for result in _scan(self, values)
    ]


@contextlib.contextmanager
def rounded(what: str) -> Iterator[None]:
    """In this context one thing that the kernels have in float64 is rounded to float32 after each operation.

    Args:
        what: ``"slopes of strips"``, ``"slopes across strips"``, ``"states across strips"``, ``"carries"`` (from tile
            to tile), or ``"memory"`` (what stages 1 and 2 of chunks write).
    """

    def whole(function):
        return lambda *arguments: tuple(map(_single, function(*arguments)))

    def carry(function):
        def rounding(*arguments):
            enter, leave = function(*arguments)
            return enter, tuple(map(_single, leave))

        return rounding

    def within(name):
        """Rounded only where the maps of strips are composed."""

        def change(function):
            def rounding(*arguments):
                before = getattr(elements, name)
                setattr(elements, name, whole(before))
                try:
                    return function(*arguments)
                finally:
                    setattr(elements, name, before)

            return rounding

        return change

    changes = {
        "slopes of strips": [(tiles, "power", whole), (tiles, "multiply", whole)],
        "slopes across strips": [(elements, "_accumulate", within("multiply"))],
        "states across strips": [(elements, "_accumulate", within("from_carry"))],
        "carries": [(chunks, "follow", carry)],
        "memory": [(cuda, "_wide", lambda _: lambda dtype: dtype)],
    }[what]
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    for module, name, change in changes:
        setattr(module, name, change(getattr(module, name)))
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def _single(value):
    return value.to(tl.float32).to(tl.float64) if value.dtype == tl.float64 else value
