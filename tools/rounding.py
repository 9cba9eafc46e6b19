"""The rounding errors of scans in single precision, against the loop's own, on the same inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rnnlib import linear_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

MODULI = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]  # 1 - |lam|
LENGTHS = [2**8, 2**12, 2**16, 2**20]


def accuracy(
    scans: dict[str, Callable[[Tensor, Tensor], Tensor]],
    lengths: Sequence[int] = LENGTHS,
    channels: int = 16,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Errors against the loop in double precision, white inputs, float32 and complex64.

    The error of a channel is the root mean square over time, divided by that of its states. One channel says little,
    since even two sums in another order differ by chance; so several are taken, and the ratio to the loop's error
    comes with a standard error over them (delete one).

    Args:
        scans: by name, what gives the states of (lam, x) from a zero state; results may lie on another device.
        lengths: numbers of steps.
        channels: of each modulus, at least two; angles are drawn from 0 to pi.
        seed: of angles and inputs.

    Returns:
        A row a dtype, length, modulus and scan, the loop among them.
    """
    rows = []
    for dtype in (torch.float32, torch.complex64):
        wide = torch.promote_types(dtype, torch.float64)
        generator = torch.Generator().manual_seed(seed)
        lam = (1 - torch.tensor(MODULI, dtype=torch.float64)).repeat_interleave(channels)
        if dtype.is_complex:
            lam = torch.polar(lam, torch.pi * torch.rand(len(lam), dtype=torch.float64, generator=generator))
        lam = lam.to(dtype)
        x = torch.randn(1, max(lengths), len(lam), dtype=dtype, generator=generator)
        exact = linear_scan(lam.to(wide), x.to(wide), backend="sequential")
        loop = linear_scan(lam, x, backend="sequential")
        for length in sorted(lengths):
            looped = _error(loop[:, :length], exact[:, :length])
            found = {"rnnlib sequential": looped}
            for name, scan in scans.items():
                found[name] = _error(scan(lam, x[:, :length]).cpu(), exact[:, :length])
            for name, errors in found.items():
                for distance, own, reference in zip(MODULI, errors, looped, strict=True):
                    ratio, deviation = _ratio(own, reference)
                    rows.append(
                        {
                            "length": length,
                            "one_minus_modulus": distance,
                            "dtype": str(dtype).removeprefix("torch."),
                            "implementation": name,
                            "channels": channels,
                            "error": own.square().mean().sqrt().item(),
                            "loop_error": reference.square().mean().sqrt().item(),
                            "ratio": ratio,
                            "ratio_error": deviation,
                        }
                    )
    return rows


def _error(states: Tensor, exact: Tensor) -> Tensor:
    """Of each channel (modulus, channel): root mean square error over that of the states."""
    squares = (states - exact).abs().square().mean((0, 1)) / exact.abs().square().mean((0, 1))
    return squares.sqrt().unflatten(0, (len(MODULI), -1))


def _ratio(own: Tensor, reference: Tensor) -> tuple[float, float]:
    """Root mean square error over the reference's, and the standard error of that ratio over channels."""

    def of(own: Tensor, reference: Tensor) -> Tensor:
        return (own.square().sum() / reference.square().sum()).sqrt()

    count = len(own)
    keep = [[place for place in range(count) if place != left_out] for left_out in range(count)]
    partial = torch.stack([of(own[places], reference[places]) for places in keep])
    return of(own, reference).item(), ((count - 1) * partial.var(correction=0)).sqrt().item()
