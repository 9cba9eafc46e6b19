"""The rounding errors of the scan's backends in single precision, against the loop's own, on the same inputs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import importlib.util
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...scan import linear_scan
from .measurement import Measurement, Tables
from .schema import Schema

_WIDTH = 32  # channels that a process interprets: as many as one program of a kernel takes
_KERNELS = "cuda "  # begins the name of a strategy of the Triton kernels
_INTERPRETER = Path(__file__).resolve().parents[3] / "tools/interpreted.py"  # not in the installed package


@dataclass(frozen=True)
class Reference:
    """White inputs to channels of several moduli, and the states of the loop in double and in single precision.

    Attributes:
        moduli: of the eigenvalues, as 1 - modulus.
        lam: eigenvalues, ``(N,)``: as many channels of each modulus, in order.
        x: inputs, ``(1, T, N)``, in the precision of ``lam``.
        exact: states from zero, ``(1, T, N)``, by the loop in double precision.
        loop: the same in the precision of ``lam``.
    """

    moduli: tuple[float, ...]
    lam: Tensor
    x: Tensor
    exact: Tensor
    loop: Tensor

    @classmethod
    def draw(
        cls, dtype: torch.dtype, length: int, moduli: tuple[float, ...], channels: int, seed: int = 0
    ) -> Reference:
        """Draw inputs and, if ``dtype`` is complex, angles from 0 to pi.

        Args:
            dtype: ``torch.float32`` or ``torch.complex64``.
            length: steps.
            moduli: as 1 - modulus.
            channels: of each modulus.
            seed: of angles and inputs.
        """
        wide = torch.promote_types(dtype, torch.float64)
        generator = torch.Generator().manual_seed(seed)
        lam = (1 - torch.tensor(moduli, dtype=torch.float64)).repeat_interleave(channels)
        if dtype.is_complex:
            lam = torch.polar(lam, torch.pi * torch.rand(len(lam), dtype=torch.float64, generator=generator))
        lam = lam.to(dtype)
        x = torch.randn(1, length, len(lam), dtype=dtype, generator=generator)
        exact = linear_scan(lam.to(wide), x.to(wide), backend="sequential")
        return cls(moduli, lam, x, exact, linear_scan(lam, x, backend="sequential"))

    def compare(self, states: Tensor) -> list[dict[str, Any]]:
        """Errors of other states of the first ``states.shape[1]`` inputs, a row a modulus.

        The error of a channel is the root mean square over time, divided by that of its states. One channel says
        little, since even two sums in another order differ by chance; so several are taken, and the ratio to the loop's
        error comes with a standard error over them (delete one).
        """
        length = states.shape[1]
        errors = [self._error(t[:, :length], self.exact[:, :length]) for t in (states.cpu(), self.loop)]
        rows = []
        for distance, own, loop in zip(self.moduli, *errors, strict=True):
            ratio, deviation = _ratio(own, loop)
            facts = {"dtype": str(self.x.dtype).removeprefix("torch."), "length": length, "one_minus_modulus": distance}
            sizes = {name: t.square().mean().sqrt().item() for name, t in (("error", own), ("loop_error", loop))}
            rows.append(facts | sizes | {"ratio": ratio, "ratio_error": deviation})
        return rows

    def _error(self, states: Tensor, exact: Tensor) -> Tensor:
        """Of each channel (modulus, channel): root mean square error over that of the states."""
        squares = (states - exact).abs().square().mean((0, 1)) / exact.abs().square().mean((0, 1))
        return squares.sqrt().unflatten(0, (len(self.moduli), -1))


def _ratio(own: Tensor, reference: Tensor) -> tuple[float, float]:
    """Root mean square error over the reference's, and the standard error of that ratio over channels."""

    def of(own: Tensor, reference: Tensor) -> Tensor:
        return (own.square().sum() / reference.square().sum()).sqrt()

    count = len(own)
    keep = [[place for place in range(count) if place != left_out] for left_out in range(count)]
    partial = torch.stack([of(own[places], reference[places]) for places in keep])
    return of(own, reference).item(), ((count - 1) * partial.var(correction=0)).sqrt().item()


@dataclass(frozen=True, kw_only=True)
class Rounding(Measurement):
    """Errors of states against double precision, by backend, what it ran on, dtype, length and modulus.

    The Triton kernels run on the device or, without one, through Triton's interpreter, some channels in each of several
    processes. It rounds each product and each sum, of which a device rounds some together.

    Attributes:
        backends: of :func:`rnnlib.linear_scan`, or ``"cuda "`` and a strategy.
        lengths: numbers of steps; the inputs of a shorter sequence are the first of the longest.
        moduli: of the eigenvalues, as 1 - modulus.
        channels: of each modulus, at least two.
        dtypes: ``"float32"`` or ``"complex64"``.
    """

    needs: ClassVar = {"fast": ("numba",)}

    backends: tuple[str, ...] = ("chunked", "numba", "cuda walk", "cuda chunks")
    lengths: tuple[int, ...] = (2**8, 2**12, 2**16, 2**20)
    moduli: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    channels: int = 10
    dtypes: tuple[str, ...] = ("float32", "complex64")

    def parts(self) -> list[str]:
        return list(self._cases())

    def _cases(self) -> dict[str, tuple[str, str, int]]:
        return {
            f"{dtype}, {backend}, {length} steps": (dtype, backend, length)
            for dtype in self.dtypes
            for backend in self.backends
            for length in self.lengths
        }

    def schemas(self) -> dict[str, Schema]:
        of = {"backend": "text", "ran_on": ("cpu", "interpreter", "device"), "dtype": "text", "length": "whole"}
        numbers = dict.fromkeys(("one_minus_modulus", "error", "loop_error", "ratio", "ratio_error"), "size")
        key = ["dtype", "backend", "length", "one_minus_modulus"]
        rows = [(*case, rounded(distance)) for case in self._cases().values() for distance in self.moduli]
        return {"runs": Schema(of | numbers, key, rows)}

    def measure(self, part: str, device: str) -> Tables:
        dtype, backend, length = self._cases()[part]
        reference = reference_of(getattr(torch, dtype), max(self.lengths), self.moduli, self.channels)
        rows = reference.compare(_states(backend, reference.lam, reference.x[:, :length], device))
        ran = "cpu" if not backend.startswith(_KERNELS) else "interpreter" if device == "cpu" else "device"
        columns = ["backend", "ran_on", *rows[0]]
        return {"runs": (columns, [(backend, ran, *(rounded(value) for value in row.values())) for row in rows])}


reference_of = functools.lru_cache(maxsize=1)(Reference.draw)  # the parts of a dtype follow each other


def _states(backend: str, lam: Tensor, x: Tensor, device: str) -> Tensor:
    if not backend.startswith(_KERNELS):
        return linear_scan(lam, x, backend=backend)
    strategy = backend.removeprefix(_KERNELS)
    _need_triton(strategy)
    if device != "cpu":
        from ...scan.cuda import cuda_scan

        inputs = [t.to(device) for t in (lam, x, torch.zeros_like(x[:, 0]))]
        return cuda_scan(*inputs, strategy=strategy)
    return interpret(strategy, lam, x)


def interpret(strategy: str, lam: Tensor, x: Tensor, single: str = "") -> Tensor:
    """States from zero by the Triton kernels, interpreted in several processes.

    Args:
        strategy: of the kernels.
        lam: eigenvalues, ``(N,)`` or as ``x``.
        x: inputs, ``(B, T, N)``.
        single: what is rounded to float32 though the kernels have it in float64, of ``tools/interpreted.py``.
    """
    _need_triton(strategy)
    if not _INTERPRETER.is_file():
        raise ValueError(
            f"the rounding of {_KERNELS + strategy!r} without a GPU runs from a checkout of the repository, whose "
            "tools/ has what interprets the kernels: run it there, or with device='cuda'"
        )
    pieces = [slice(start, start + _WIDTH) for start in range(0, x.shape[2], _WIDTH)]
    with concurrent.futures.ProcessPoolExecutor(
        min(len(pieces), os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_interpret,
    ) as pool:  # numpy arrays: tensors would need as much shared memory
        states = pool.map(
            _interpreted,
            [strategy] * len(pieces),
            [lam[..., piece].contiguous().numpy() for piece in pieces],
            [x[..., piece].contiguous().numpy() for piece in pieces],
            [single] * len(pieces),
        )
        return torch.cat([torch.from_numpy(piece) for piece in states], dim=2)


def _need_triton(strategy: str) -> None:
    if importlib.util.find_spec("triton") is None:
        raise ValueError(
            f"the rounding of {_KERNELS + strategy!r} needs triton, which is made for Linux: run the others by name"
        )


def _interpret() -> None:
    os.environ["TRITON_INTERPRET"] = "1"  # triton reads it once, when it is imported
    torch.set_num_threads(1)


def _interpreted(strategy: str, lam: np.ndarray, x: np.ndarray, single: str) -> np.ndarray:
    from ...scan.cuda import cuda_scan

    spec = importlib.util.spec_from_file_location("interpreted", _INTERPRETER)
    interpreter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(interpreter)
    tensors = [torch.from_numpy(t.copy()) for t in (lam, x, np.zeros_like(x[:, 0]))]
    with interpreter.faster(), interpreter.rounded(single) if single else contextlib.nullcontext():
        return cuda_scan(*tensors, strategy=strategy).numpy()


def rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


EXPERIMENT = Rounding(
    name="rounding",
    title="rounding errors of the scan's backends, up to a million steps",
    smaller={
        "book": {"lengths": (2**8, 2**10), "channels": 5},
        "smoke": {"lengths": (2**8,), "channels": 2, "dtypes": ("complex64",)},
    },
)
