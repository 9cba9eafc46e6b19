"""The diagonal linear recurrence as one loop: slow, obvious, and the definition every backend is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Inexact
    from torch import Tensor


def sequential_scan(
    lam: Inexact[Tensor, "#B #T N"],
    x: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    reverse: bool = False,
) -> Inexact[Tensor, "B T N"]:
    r"""Iterate the recurrence over time,

    .. math:: h_t = \lambda_t \odot h_{t-1} + x_t, \qquad t = 1, \dots, T.

    Args:
        lam: eigenvalues, real or complex; size 1 (or absent) along batch or time means shared.
        x: inputs.
        h0: state before the first input. The recurrence runs in its precision, states come in that of ``x``.
        reverse: run from the last step to the first, :math:`h_t = \lambda_t \odot h_{t+1} + x_t`; ``h0`` is then the
            state after the last input.

    Returns:
        All T states, in the order of the inputs.

    Source: Zucchet and Orvieto (2024), section 2.2, assumption (a).
    """
    steps = list(zip(lam.expand_as(x).unbind(1), x.unbind(1), strict=True))
    h, states = h0, []
    for lam_t, x_t in reversed(steps) if reverse else steps:
        h = lam_t * h + x_t
        states.append(h.to(x.dtype))
    return torch.stack(states[::-1] if reverse else states, dim=1)


def entering(
    states: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    reverse: bool = False,
) -> Inexact[Tensor, "B T N"]:
    """The state that enters each step: :math:`h_{t-1}`, or :math:`h_{t+1}` if ``reverse``, with ``h0`` at the end
    where the scan starts."""
    if reverse:
        return torch.cat([states[:, 1:], h0[:, None]], dim=1)
    return torch.cat([h0[:, None], states[:, :-1]], dim=1)
