"""Deep residual stacks of recurrent layers, as in Figure 5 of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from ..layers.checks import check_sequences, check_sizes

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["NORMALIZATIONS", "DeepRNN", "GatedResidual", "embedding_loss"]

NORMALIZATIONS = ("none", "layer", "batch")


class GatedResidual(nn.Module):
    r"""A block: recurrent layer, gelu, gated linear unit, skip connection,

    .. math:: y = x + (W_1 u + b_1) \odot \sigma(W_2 u + b_2), \qquad
              u = \mathrm{norm}(\mathrm{gelu}(\mathrm{layer}(\mathrm{norm}(x)))).

    Args:
        layer: maps ``(batch, time, width)`` to the same shape; its attributes ``input_size`` and ``output_size`` are
            the width.
        normalization: ``"none"``; ``"layer"``: over the units of each step; ``"batch"``: of each unit over batch and
            time, always with the statistics of the batch at hand while the module trains.
        shared: one normalisation with one set of weights in both places, as the authors' code has it (erratum 22);
            otherwise one each.
        generator: source of randomness of the linear maps, which are LeCun normal with zero biases.
    """

    def __init__(
        self,
        layer: nn.Module,
        *,
        normalization: Literal["none", "layer", "batch"] = "none",
        shared: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        width = layer.output_size
        if layer.input_size != width:
            raise ValueError(
                f"layer must have input_size equal to output_size for the skip connection, got {layer.input_size} "
                f"and {width}"
            )
        self.layer = layer
        self.before = _normalization(normalization, width)
        self.after = self.before if shared else _normalization(normalization, width)
        self.value = lecun_linear(width, width, generator)
        self.gate = lecun_linear(width, width, generator)

    def forward(self, x: Float[Tensor, "B T N"]) -> Float[Tensor, "B T N"]:
        """Outputs ``(batch, time, width)`` for inputs of the same shape."""
        check_sequences(x, self.layer.input_size)
        u = nn.functional.gelu(self.layer(self.before(x)), approximate="tanh")  # the authors' library approximates
        u = self.after(u)
        return x + self.value(u) * torch.sigmoid(self.gate(u))


class DeepRNN(nn.Module):
    """Linear encoder, residual blocks around recurrent layers, linear decoder.

    Args:
        input_size: size of x_t.
        layers: one recurrent layer a block, each with input_size = output_size = the width of the network.
        output_size: size of y_t.
        normalization: in each block, ``"none"``, ``"layer"`` or ``"batch"``.
        shared: as for :class:`GatedResidual`.
        generator: source of randomness of the linear maps.

    Raises:
        ValueError: there is no layer, or their sizes differ, or the normalisation is unknown.

    Source: Zucchet and Orvieto (2024), section 5 and appendix E.
    """

    def __init__(
        self,
        input_size: int,
        layers: Sequence[nn.Module],
        output_size: int,
        *,
        normalization: Literal["none", "layer", "batch"] = "none",
        shared: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_sizes(input_size=input_size, output_size=output_size)
        widths = {layer.output_size for layer in layers}
        if len(widths) != 1:
            raise ValueError(f"layers must be at least one, all of one width, got widths {sorted(widths)}")
        (width,) = widths
        self.encoder = lecun_linear(input_size, width, generator)
        self.blocks = nn.ModuleList(
            GatedResidual(layer, normalization=normalization, shared=shared, generator=generator) for layer in layers
        )
        self.decoder = lecun_linear(width, output_size, generator)

    def block_outputs(self, x: Float[Tensor, "B T in"]) -> list[Float[Tensor, "B T N"]]:
        """What each block passes on, skip connection included, first block first.

        Args:
            x: inputs ``(batch, time, input_size)``.

        Returns:
            A tensor ``(batch, time, width)`` a block.

        Raises:
            TypeError: x is no tensor.
            ValueError: x has another rank or number of features, or no time steps.
        """
        check_sequences(x, self.encoder.in_features)
        outputs, h = [], self.encoder(x)
        for block in self.blocks:
            h = block(h)
            outputs.append(h)
        return outputs

    def forward(self, x: Float[Tensor, "B T in"]) -> Float[Tensor, "B T out"]:
        """Outputs ``(batch, time, output_size)`` for inputs ``(batch, time, input_size)``."""
        return self.decoder(self.block_outputs(x)[-1])


def embedding_loss(y: Float[Tensor, "B T N"], x: Float[Tensor, "B T N"], offset: int = 1) -> Float[Tensor, ""]:
    r"""Half the mean squared error of predicted embeddings, :math:`\frac12 \mathrm{mean}\,(y_t - x_{t + o})^2`.

    Args:
        y: predictions ``(batch, time, dimension)``.
        x: embeddings, same shape.
        offset: o, which embedding output t predicts: 1 for the next; -1 for the previous, what the authors' code
            compares (erratum 12).

    Returns:
        The mean over batch, the times that have a partner, and dimensions.

    Raises:
        ValueError: shapes differ, or are not of three axes, or no time has a partner.
    """
    if y.shape != x.shape or x.ndim != 3 or abs(offset) >= x.shape[1]:
        raise ValueError(
            f"y and x must have one shape (batch, time, dimension) and more than |offset| = {abs(offset)} steps, got "
            f"{tuple(y.shape)} and {tuple(x.shape)}"
        )
    steps = x.shape[1] - abs(offset)
    predicted, target = (y[:, :steps], x[:, offset:]) if offset >= 0 else (y[:, -offset:], x[:, :steps])
    return 0.5 * (predicted - target).square().mean()


def lecun_linear(input_size: int, output_size: int, generator: torch.Generator | None = None) -> nn.Linear:
    """A linear map with LeCun normal weights, of variance 1 / ``input_size``, and zero biases.

    Args:
        input_size: size of its inputs.
        output_size: size of its outputs.
        generator: source of randomness.
    """
    # on the meta device, because the module's own initialisation would draw from the global generator
    linear = nn.Linear(input_size, output_size, device="meta")
    weight = torch.empty(output_size, input_size).normal_(0, 1 / math.sqrt(input_size), generator=generator)
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(torch.zeros(output_size))
    return linear


def _normalization(name: str, width: int) -> nn.Module:
    if name == "none":
        return nn.Identity()
    if name == "layer":
        return nn.LayerNorm(width, eps=1e-6)
    if name == "batch":
        return _BatchNorm(width)
    raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, got {name!r}")


class _BatchNorm(nn.BatchNorm1d):
    """Batch normalisation with the units on the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)
