"""Deep residual stacks of recurrent layers, as in Figure 5 of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from ..layers.base import drawn
from ..layers.checks import check_lengths, check_sequences, check_sizes, check_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

__all__ = ["NORMALIZATIONS", "DeepRNN", "GatedResidual", "embedding_loss"]

NORMALIZATIONS = ("none", "layer", "batch")


class GatedResidual(nn.Module):
    r"""A block ``y, state = block(x)``: recurrent layer, gelu, gated linear unit, skip connection,

    .. math:: y = x + (W_1 u + b_1) \odot \sigma(W_2 u + b_2), \qquad
              u = \mathrm{norm}(\mathrm{gelu}(\mathrm{layer}(\mathrm{norm}(x)))).

    Args:
        layer: a recurrent layer whose ``input_size`` and ``output_size`` are both the width.
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

    def forward(
        self,
        x: Float[Tensor, "B T N"],
        state: Any = None,
        *,
        lengths: Int[Tensor, "B"] | None = None,
        reset: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T N"], Any]:
        """Outputs ``(batch, time, width)`` and the state of the layer; arguments are those of the layer."""
        check_sequences(x, self.layer.input_size)
        valid = None if lengths is None else _valid(x, lengths)
        x = x if valid is None else x.masked_fill(~valid[..., None], 0)
        u, state = self.layer(_normalized(self.before, x, valid), state, lengths=lengths, reset=reset)
        y = x + self._unit(u, valid)
        return y if valid is None else y.masked_fill(~valid[..., None], 0), state

    def step(self, x: Float[Tensor, "B N"], state: Any) -> tuple[Float[Tensor, "B N"], Any]:
        """One time step: the output ``(batch, width)`` and the new state of the layer.

        With ``"batch"`` statistics over time it is the module in evaluation mode that a loop of steps reproduces.
        """
        check_step(x, self.layer.input_size, self.value.weight)
        u, state = self.layer.step(_normalized(self.before, x[:, None])[:, 0], state)
        return x + self._unit(u[:, None])[:, 0], state

    def _unit(self, u: Tensor, valid: Tensor | None = None) -> Tensor:
        u = nn.functional.gelu(u, approximate="tanh")  # the authors' library approximates
        u = _normalized(self.after, u, valid)
        return self.value(u) * torch.sigmoid(self.gate(u))


class DeepRNN(nn.Module):
    """Linear encoder, residual blocks around recurrent layers, linear decoder: ``y, states = network(x)``.

    States are a tuple, one of each block's layer, and all else is as for a layer.

    Args:
        input_size: size of x_t.
        layers: one recurrent layer a block, each with input_size = output_size = the width of the network.
        output_size: size of y_t.
        normalization: in each block, ``"none"``, ``"layer"`` or ``"batch"``.
        shared: as for :class:`GatedResidual`.
        generator: source of randomness of the linear maps.

    Raises:
        ValueError: there is no layer, or their sizes differ, or the normalisation is unknown.

    Source: Zucchet and Orvieto (2024), section 5 and appendix D.1.
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
            h, _ = block(h)
            outputs.append(h)
        return outputs

    def forward(
        self,
        x: Float[Tensor, "B T in"],
        states: tuple | None = None,
        *,
        lengths: Int[Tensor, "B"] | None = None,
        reset: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T out"], tuple]:
        """Outputs for whole sequences, and the states after them.

        Args:
            x: inputs ``(batch, time, input_size)``.
            states: before the first step, one of each block; zero by default.
            lengths: steps of each sequence ``(batch,)``; outputs beyond are 0, and statistics leave those steps out.
            reset: where a new sequence begins ``(batch, time)``.

        Returns:
            Outputs ``(batch, time, output_size)``, and the states after each sequence's own last step.

        Raises:
            TypeError: as of a layer.
            ValueError: as of a layer, or there is not one state for each block.
        """
        check_sequences(x, self.encoder.in_features)
        if lengths is not None:
            valid = _valid(x, lengths)[..., None]
            x = x.masked_fill(~valid, 0)
        h, after = self.encoder(x), []
        for block, state in zip(self.blocks, self._entering(states), strict=True):
            h, state = block(h, state, lengths=lengths, reset=reset)
            after.append(state)
        y = self.decoder(h)
        return y if lengths is None else y.masked_fill(~valid, 0), tuple(after)

    def step(self, x: Float[Tensor, "B in"], states: tuple) -> tuple[Float[Tensor, "B out"], tuple]:
        """One time step, for streaming: the output ``(batch, output_size)`` and the new states.

        Args:
            x: input of this step ``(batch, input_size)``.
            states: after the previous step, at first :meth:`initial_state`.

        Raises:
            TypeError: as of a layer.
            ValueError: as of a layer, or there is not one state for each block.
        """
        check_step(x, self.encoder.in_features, self.encoder.weight)
        h, after = self.encoder(x), []
        for block, state in zip(self.blocks, self._entering(states), strict=True):
            h, state = block.step(h, state)
            after.append(state)
        return self.decoder(h), tuple(after)

    def initial_state(self, batch: int = 1) -> tuple:
        """Zero states, one of each block's layer."""
        return tuple(block.layer.initial_state(batch) for block in self.blocks)

    def _entering(self, states: tuple | None) -> tuple:
        if states is None:
            return (None,) * len(self.blocks)
        if not isinstance(states, tuple | list) or len(states) != len(self.blocks):
            got = len(states) if isinstance(states, tuple | list) else type(states).__name__
            raise ValueError(f"states must be a tuple of {len(self.blocks)} states, one for each block, got {got}")
        return tuple(states)


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


class LecunLinear(nn.Linear):
    """A linear map with LeCun normal weights, of variance 1 / fan-in, and zero biases."""

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        weight = drawn(self.weight, generator)
        self.weight.copy_(weight.normal_(0, 1 / math.sqrt(self.in_features), generator=generator))
        self.bias.zero_()


def lecun_linear(input_size: int, output_size: int, generator: torch.Generator | None = None) -> LecunLinear:
    """A linear map with LeCun normal weights, of variance 1 / ``input_size``, and zero biases.

    Args:
        input_size: size of its inputs.
        output_size: size of its outputs.
        generator: source of randomness.
    """
    # on the meta device, because the module's own initialisation would draw from the global generator
    linear = LecunLinear(input_size, output_size, device="meta")
    linear.weight, linear.bias = (nn.Parameter(torch.empty(value.shape)) for value in (linear.weight, linear.bias))
    linear.reset_parameters(generator)
    return linear


def _valid(x: Float[Tensor, "B T N"], lengths: Int[Tensor, "B"]) -> Bool[Tensor, "B T"]:
    return torch.arange(x.shape[1], device=x.device) < check_lengths(lengths, x)[:, None]


def _normalized(module: nn.Module, x: Tensor, valid: Tensor | None = None) -> Tensor:
    """Batch statistics leave out what lies beyond the lengths."""
    return module(x, valid) if isinstance(module, _BatchNorm) else module(x)


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

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        if valid is None:
            return super().forward(x.transpose(1, 2)).transpose(1, 2)
        return torch.zeros_like(x).index_put((valid,), super().forward(x[valid]))
