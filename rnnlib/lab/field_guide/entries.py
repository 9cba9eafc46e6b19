r"""The models of the field guide: what they are, where that was read, and what theory expects of them.

The expectations were written down before anything was measured. They follow from few facts about a unit with
:math:`\lambda = \nu e^{i\theta}`, :math:`\nu = 1 - 1/m`, input scale s and white inputs, up to constants:

- :math:`\mathrm{E}|h|^2 \sim s^2 m`;
- a derivative that moves the eigenvalue by :math:`\lambda'` and leaves s has :math:`\mathrm{E}|\mathrm{d}h|^2 \sim
  |\lambda'|^2 s^2 m^3`, so relative to the state :math:`(|\lambda'| m)^2`;
- one that moves s by :math:`s'` adds :math:`s'^2 m`, relative to the state :math:`(s'/s)^2`;
- a gate's noise changes constants and no powers (the proofs page, "Gates that move").

So a parameter is tame if it moves the eigenvalue in proportion to :math:`1 - \nu`. Inputs with a correlation time that
stays put while memory grows have the same powers. Measured from a memory of 1,000 to one of 10,000, white inputs or
correlated by 0.9, gates still or moving, each exponent should be within 0.1 of the expected one, in all rows but three
at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

#: What moves an eigenvalue, in the order of the table.
DIRECTIONS = ("modulus", "angle", "step")


@dataclass(frozen=True, kw_only=True)
class Model:
    r"""A row of the field guide. Exponents are powers of the memory :math:`m = 1 / (1 - |\lambda|)`.

    Attributes:
        name: of the model, and of the start if it has two rows.
        source: what was read of it, or "unsourced" and why.
        eigenvalue: :math:`\lambda` as a function of the raw parameters a (modulus), b (angle) and d (step), in LaTeX.
        scale: the input scale s, in LaTeX.
        memory: what makes the memory long at this start.
        unit: the function of :mod:`rnnlib.lab.field_guide.units`.
        start: from the memory to raw parameters and constants.
        state: predicted exponent of the state's second moment.
        sensitivity: predicted exponents of the second moment of its derivatives, of the directions that have one.
        curvature: predicted exponents of the loss at its optimum, with the output scaled to variance 1.
        because: why.
        mend: what to use instead, or what must go with it.
        noise: variance that inputs of variance 1 add to the gate's logit at the start; 0 where gates stand still.
        readout: from states to outputs, if not the states themselves.
        windowed: the memory is the length of the window.
    """

    name: str
    source: str
    eigenvalue: str
    scale: str
    memory: str
    unit: Callable[..., tuple[Tensor, Tensor]]
    start: Callable[[float], dict[str, float]]
    state: float
    sensitivity: dict[str, float]
    curvature: dict[str, float]
    because: str
    mend: str
    noise: float = 0.0
    readout: Callable[..., Tensor] | None = None
    windowed: bool = False

    @property
    def verdict(self) -> str:
        """ "tamed", "tamed for the modulus alone" or "cursed", by the predicted curvature."""
        return verdict(self.curvature)


def verdict(curvature: dict[str, float], slack: float = 0.1) -> str:
    """What the exponents of the loss curvature say.

    Args:
        curvature: exponents by direction.
        slack: how far above 0 an exponent may lie and count as 0.

    Returns:
        "tamed" if none grows, "tamed for the modulus alone" if only others grow, "cursed" if the modulus' grows, or
        what stands for it.
    """
    growing = {direction for direction, exponent in curvature.items() if exponent > slack}
    if not growing:
        return "tamed"
    holds = "modulus" in curvature and "modulus" not in growing
    return "tamed for the modulus alone" if holds else "cursed"


def _log_rate(modulus: float) -> float:
    """Of exp(-exp(.))."""
    return math.log(-math.log(modulus))


def _inverse_softplus(value: float) -> float:
    return math.log(math.expm1(value))


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)


MODELS: tuple[Model, ...] = (
    Model(
        name="complex RNN",
        source="Zucchet and Orvieto (2024), appendix A.2",
        eigenvalue=r"a\,e^{ib}",
        scale="1",
        memory="a near 1, any angle",
        unit=units.complex_rnn,
        start=lambda m: {"modulus": 1 - 1 / m, "angle": 1.0},
        state=1,
        sensitivity={"modulus": 3, "angle": 3},
        curvature={"modulus": 2, "angle": 2},
        because="both parameters move the eigenvalue by as much at any memory",
        mend="an exponential modulus and an input scale: the LRU",
    ),
    Model(
        name="LRU",
        source="NicolasZucchet/minimal-LRU, lru/model.py at bbd71b1; Zucchet and Orvieto (2024), appendix A.2",
        eigenvalue=r"e^{-e^a + i e^b}",
        scale=r"\gamma = \sqrt{1 - \lvert\lambda\rvert^2}\text{, then learned}",
        memory="a ring near the circle",
        unit=units.lru,
        start=lambda m: {"modulus": _log_rate(1 - 1 / m), "angle": 0.0},
        state=0,
        sensitivity={"modulus": 0, "angle": 2},
        curvature={"modulus": 0, "angle": 2},
        because="the modulus moves by a share of its distance to 1, the angle by a share of itself",
        mend="the angle times a step that shrinks with memory (S4D); small angles lower the constant",
    ),
    Model(
        name="optimal parametrisation",
        source="Zucchet and Orvieto (2024), section 3.1 and appendix C.1.2",
        eigenvalue=r"\nu e^{i\theta},\ \nu = \tanh a,\ \theta = b\,\tfrac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}}",
        scale=r"\gamma(\nu)",
        memory="a large, any angle",
        unit=units.optimal,
        start=lambda m: {
            "modulus": math.atanh(1 - 1 / m),
            "angle": (1 - 1 / m) * math.sqrt(1 + (1 - 1 / m) ** 2) / (1 - (1 - 1 / m) ** 2),
        },
        state=0,
        sensitivity={"modulus": 0, "angle": 0},
        curvature={"modulus": 0, "angle": 0},
        because="built so that both curvatures are 1, the modulus held where it multiplies b",
        mend="nothing at the optimum; on the way the valley is flat (Figure 7), so scale the steps of a polar angle "
        "instead",
    ),
    Model(
        name="S4D, memory from the step",
        source="state-spaces/s4, models/s4/s4d.py at 2ed46fc",
        eigenvalue=r"e^{\Delta (-e^a + ib)},\ \Delta = e^d",
        scale=r"(\lambda - 1) / A",
        memory=r"$\Delta$ small, $A = -\frac12 + 3 \pi i$ stays",
        unit=units.s4d,
        start=lambda m: {
            "modulus": math.log(0.5),
            "angle": 3 * math.pi,
            "step": math.log(-math.log(1 - 1 / m) / 0.5),
        },
        state=-1,
        sensitivity={"modulus": -1, "angle": -1, "step": -1},
        curvature={"modulus": 0, "angle": 0, "step": 0},
        because="the step multiplies everything, also the angle's derivative; the scale is about the step",
        mend="nothing in the exponents; the step's constant grows as the square of the frequency",
    ),
    Model(
        name="S4D, memory from A",
        source="state-spaces/s4, models/s4/s4d.py at 2ed46fc",
        eigenvalue=r"e^{\Delta (-e^a + ib)},\ \Delta = e^d",
        scale=r"(\lambda - 1) / A",
        memory=r"Re A small, $\Delta = 0.1$ and Im A stay",
        unit=units.s4d,
        start=lambda m: {
            "modulus": math.log(-math.log(1 - 1 / m) / 0.1),
            "angle": 3 * math.pi,
            "step": math.log(0.1),
        },
        state=1,
        sensitivity={"modulus": 1, "angle": 3, "step": 3},
        curvature={"modulus": 0, "angle": 2, "step": 2},
        because="angle and step turn the eigenvalue by a fixed amount, the modulus is exponential",
        mend="let the step carry the memory",
    ),
    Model(
        name="S5",
        source="lindermanlab/S5, s5/ssm.py at 52fbd83",
        eigenvalue=r"e^{\Delta (a + ib)},\ \Delta = e^d",
        scale=r"(\lambda - 1) / A",
        memory=r"$\Delta$ small, $A = -\frac12 + 3 \pi i$ stays",
        unit=units.s5,
        start=lambda m: {"modulus": -0.5, "angle": 3 * math.pi, "step": math.log(-math.log(1 - 1 / m) / 0.5)},
        state=-1,
        sensitivity={"modulus": -1, "angle": -1, "step": -1},
        curvature={"modulus": 0, "angle": 0, "step": 0},
        because="as S4D; a linear real part does no harm while the step carries the memory",
        mend="nothing while it trains; clip Re A, which is linear and may cross 0",
    ),
    Model(
        name="Mamba-1",
        source="state-spaces/mamba, mamba_ssm/modules/mamba_simple.py at 000b310",
        eigenvalue=r"e^{-\Delta e^a},\ \Delta = \mathrm{softplus}(d + g)",
        scale=r"\Delta",
        memory=r"$\Delta$ small, A = -1 stays",
        unit=units.mamba,
        start=lambda m: {"modulus": 0.0, "step": _inverse_softplus(-math.log(1 - 1 / m))},
        state=-1,
        sensitivity={"modulus": -1, "step": -1},
        curvature={"modulus": 0, "step": 0},
        because="softplus is an exponential where the step is small; the scale is the step",
        mend="nothing; states shrink as memory grows, so mind half precision",
        noise=1 / 3,
    ),
    Model(
        name="Mamba-2",
        source="state-spaces/mamba, mamba_ssm/modules/mamba2_simple.py at 20ddb82",
        eigenvalue=r"e^{-\Delta e^a},\ \Delta = \mathrm{softplus}(d + g)",
        scale=r"\Delta",
        memory=r"$\Delta$ small, A = -8 stays",
        unit=units.mamba,
        start=lambda m: {"modulus": math.log(8), "step": _inverse_softplus(-math.log(1 - 1 / m) / 8)},
        state=-1,
        sensitivity={"modulus": -1, "step": -1},
        curvature={"modulus": 0, "step": 0},
        because="as Mamba-1",
        mend="nothing",
        noise=1 / 3,
    ),
    Model(
        name="Mamba-3, memory from the step",
        source="state-spaces/mamba, mamba_ssm/modules/mamba3.py at 0348a3d; mamba_ssm/ops/triton/mamba3/angle_dt.py at "
        "37f9d02",
        eigenvalue=r"e^{\Delta (-\mathrm{softplus}(a + g) + i \pi \tanh b)},\ \Delta = \mathrm{softplus}(d)",
        scale=r"\Delta\text{, over two steps}",
        memory=r"$\Delta$ small, a = 0 and b = 1/2 stay",
        unit=units.mamba3_before,
        start=lambda m: {
            "modulus": 0.0,
            "angle": 0.5,
            "step": _inverse_softplus(-math.log(1 - 1 / m) / math.log(2)),
        },
        state=-1,
        sensitivity={"modulus": -1, "angle": -1, "step": -1},
        curvature={"modulus": 0, "angle": 0, "step": 0},
        because="the step multiplies decay and angle",
        mend="nothing, while the step carries the memory",
        noise=1 / 3,
        readout=units.trapezoid,
    ),
    Model(
        name="Mamba-3, memory from A, softplus",
        source="state-spaces/mamba, mamba_ssm/modules/mamba3.py at 0348a3d; pull request 962 (June 2026)",
        eigenvalue=r"e^{\Delta (-\mathrm{softplus}(a + g) + i \pi \tanh b)},\ \Delta = \mathrm{softplus}(d)",
        scale=r"\Delta\text{, over two steps}",
        memory=r"a far below 0, $\Delta = 0.1$ and b = 1/2 stay",
        unit=units.mamba3_before,
        start=lambda m: {
            "modulus": _inverse_softplus(-math.log(1 - 1 / m) / 0.1),
            "angle": 0.5,
            "step": _inverse_softplus(0.1),
        },
        state=1,
        sensitivity={"modulus": 1, "angle": 3, "step": 3},
        curvature={"modulus": 0, "angle": 2, "step": 2},
        because="the scale does not follow A, and angle and step turn by a fixed amount",
        mend="the tail of June 2026 (next row), which makes such memories hard to reach",
        noise=1 / 3,
        readout=units.trapezoid,
    ),
    Model(
        name="Mamba-3, memory from A, heavy tail",
        source="state-spaces/mamba, pull request 962 (June 2026)",
        eigenvalue=r"e^{\Delta (-f(a + g) + i \pi \tanh b)},\ f(x) = 1/(1 - x) \text{ for } x < 0",
        scale=r"\Delta\text{, over two steps}",
        memory=r"a far below 0, $\Delta = 0.1$ and b = 1/2 stay",
        unit=units.mamba3,
        start=lambda m: {
            "modulus": 1 + 0.1 / math.log(1 - 1 / m),
            "angle": 0.5,
            "step": _inverse_softplus(0.1),
        },
        state=1,
        sensitivity={"modulus": -1, "angle": 3, "step": 3},
        curvature={"modulus": -2, "angle": 2, "step": 2},
        because="f' = f^2 moves the eigenvalue by the square of its distance to 1; angle and step as before",
        mend="the modulus is flat now; for the angle let the step carry the memory",
        noise=1 / 3,
        readout=units.trapezoid,
    ),
    Model(
        name="RG-LRU (Griffin)",
        source="google-deepmind/recurrentgemma, recurrentgemma/torch/layers.py at 2a3dde4",
        eigenvalue=r"e^{-8 \sigma(d + g)\,\mathrm{softplus}(a)}",
        scale=r"\tfrac12 \sqrt{1 - \lambda^2}",
        memory="softplus(a) small",
        unit=units.rg_lru,
        start=lambda m: {"modulus": _inverse_softplus(-math.log(1 - 1 / m) / 4), "step": 0.0},
        state=0,
        sensitivity={"modulus": 0, "step": 0},
        curvature={"modulus": 0, "step": 0},
        because="decay rates are products, each factor moves a share; gamma keeps the state",
        mend="nothing; its square root needs a bounded slope at 1, as the source has",
        noise=1.0,
    ),
    Model(
        name="minGRU",
        source="lucidrains/minGRU-pytorch, minGRU_pytorch/minGRU.py at 2707433",
        eigenvalue=r"\sigma(a + g)",
        scale=r"1 - \lambda",
        memory="a large (this code has no bias: its own start remembers two steps)",
        unit=units.gru,
        start=lambda m: {"modulus": _logit(1 - 1 / m)},
        state=-1,
        sensitivity={"modulus": -1},
        curvature={"modulus": 0},
        because="a sigmoid's slope is the distance to 1, and the scale is that distance",
        mend="a bias with Chrono initialisation",
        noise=1 / 3,
    ),
    Model(
        name="minLSTM",
        source="lucidrains/minGRU-pytorch, minGRU_pytorch/minLSTM.py at 63e86bb",
        eigenvalue=r"\frac{f}{f + i},\ f = \sigma(a + g),\ i = \sigma(d)",
        scale=r"1 - \lambda",
        memory="input logit d far below 0: with f alone it ends at 1 / (1 + i)",
        unit=units.min_lstm,
        start=lambda m: {"modulus": 0.0, "step": _logit(0.5 / (m - 1))},
        state=-1,
        sensitivity={"modulus": -1, "step": -1},
        curvature={"modulus": 0, "step": 0},
        because="only the ratio f / i counts; both logits move it by a share",
        mend="start the input gate low, not the forget gate high",
        noise=1 / 3,
    ),
    Model(
        name="GRU, Chrono start",
        source="Zucchet and Orvieto (2024), appendix D.3; Tallec and Ollivier (2018), abstract",
        eigenvalue=r"\sigma(a + g)",
        scale=r"1 - \lambda",
        memory="a = log T",
        unit=units.gru,
        start=lambda m: {"modulus": _logit(1 - 1 / m)},
        state=-1,
        sensitivity={"modulus": -1},
        curvature={"modulus": 0},
        because="as minGRU",
        mend="nothing",
        noise=2.0,
    ),
    Model(
        name="LSTM, Chrono start",
        source="0h-n0/chrono_initialization, chrono_initialization/chrono_initialization.py at 16c26e6; Tallec and "
        "Ollivier (2018), abstract",
        eigenvalue=r"\sigma(a + g)",
        scale=r"\sigma(d),\ d = -a \text{ at the start}",
        memory="a = log T",
        unit=units.lstm,
        start=lambda m: {"modulus": _logit(1 - 1 / m), "step": -_logit(1 - 1 / m)},
        state=-1,
        sensitivity={"modulus": -1, "step": -1},
        curvature={"modulus": 0, "step": 0},
        because="both biases move by shares; the scale follows only at the start",
        mend="tie the input gate to the forget gate, or keep its bias opposite",
        noise=2.0,
    ),
    Model(
        name="HGRN",
        source="Doraemonzzz/hgru-pytorch, hgru/hgru1d.py at 0d55662",
        eigenvalue=r"\big(l + (1 - l)\,\sigma(a + g)\big)\,e^{ib}",
        scale=r"1 - \lvert\lambda\rvert",
        memory="lower bound l near 1 (upper layers), any angle",
        unit=units.hgrn,
        start=lambda m: {"modulus": 0.0, "angle": 1.0, "lower bound": 1 - 2 / m},
        state=-1,
        sensitivity={"modulus": -1, "angle": 1},
        curvature={"modulus": 0, "angle": 2},
        because="the gate moves inside its bound; the angle is linear",
        mend="no angle, as in HGRN2, or the angle times $1 - l$",
        noise=1 / 3,
    ),
    Model(
        name="HGRN2",
        source="fla-org/flash-linear-attention, fla/layers/hgrn2.py at 0315a70",
        eigenvalue=r"l + (1 - l)\,\sigma(a + g)",
        scale=r"1 - \lambda",
        memory="lower bound l near 1 (upper layers)",
        unit=units.hgrn2,
        start=lambda m: {"modulus": 0.0, "lower bound": 1 - 2 / m},
        state=-1,
        sensitivity={"modulus": -1},
        curvature={"modulus": 0},
        because="the gate moves inside its bound, and the scale follows",
        mend="nothing",
        noise=1 / 3,
    ),
    Model(
        name="GLA",
        source="fla-org/flash-linear-attention, fla/layers/gla.py at 0c4ada1",
        eigenvalue=r"\sigma(a + g)^{1/16}",
        scale="1",
        memory="a large; the root gives 16 times the memory of a sigmoid",
        unit=units.gla,
        start=lambda m: {"modulus": -math.log(math.expm1(-16 * math.log(1 - 1 / m)))},
        state=1,
        sensitivity={"modulus": 1},
        curvature={"modulus": 0},
        because="a sigmoid's slope, and no input scale",
        mend="the norm after the state, which the source has",
        noise=1 / 9,
    ),
    Model(
        name="sLSTM (xLSTM)",
        source="NX-AI/xlstm, xlstm/blocks/slstm/src/vanilla/slstm.py at 71a320c",
        eigenvalue=r"\sigma(a)",
        scale=r"i / n \to 1 - \lambda,\ i = e^d",
        memory="a large",
        unit=units.slstm,
        start=lambda m: {"modulus": _logit(1 - 1 / m)},
        state=-1,
        sensitivity={"modulus": -1},
        curvature={"modulus": 0},
        because="the normaliser makes a weighted mean; a constant exponential input gate cancels",
        mend="nothing; take the normaliser along wherever gates are exponential",
    ),
    Model(
        name="LinOSS-IM",
        source="jaredbmit/damped-linoss, src/damped_linoss/models/LinOSS.py at 450b546",
        eigenvalue=r"\frac{1 + i \Delta \sqrt a}{1 + \Delta^2 a},\ \Delta = \sigma(d)",
        scale=r"\Delta \lambda \text{, position read}",
        memory=r"a near 0, $\Delta = \frac12$",
        unit=units.linoss,
        start=lambda m: {"modulus": 4 * ((1 - 1 / m) ** -2 - 1), "step": 0.0},
        state=2,
        sensitivity={"modulus": 5, "step": 3},
        curvature={"modulus": 3, "step": 1},
        because="the angle is about the root of twice the decay rate, so it turns faster than the state decays; the "
        "position divides by root a once more, and a is linear",
        mend="learn log a, which leaves a power of 1",
        readout=units.linoss_position,
    ),
    Model(
        name="Cayley rotation with decay",
        source="the transform: SpartinStuff/scoRNN, scoRNN.py at 3e34d5f; with a decay: unsourced, ours",
        eigenvalue=r"e^{-e^a}\,\frac{1 + ib}{1 - ib}",
        scale=r"\gamma\text{, then learned}",
        memory="a ring near the circle, b = 1/2",
        unit=units.half_angle,
        start=lambda m: {"modulus": _log_rate(1 - 1 / m), "angle": 0.5},
        state=0,
        sensitivity={"modulus": 0, "angle": 2},
        curvature={"modulus": 0, "angle": 2},
        because="the tangent of half the angle bounds the slope, but not by the distance to the circle",
        mend="as for the LRU",
    ),
    Model(
        name="scoRNN (Cayley, orthogonal)",
        source="SpartinStuff/scoRNN, scoRNN.py at 3e34d5f",
        eigenvalue=r"\frac{1 + ib}{1 - ib}",
        scale="1",
        memory="none is lost: memory is the window",
        unit=units.cayley,
        start=lambda m: {"angle": 0.5},
        state=1,
        sensitivity={"angle": 3},
        curvature={"angle": 2},
        because="sums of 1 and of squared lags over the window",
        mend="a decay; an orthogonal matrix cures vanishing and keeps the curse",
        windowed=True,
    ),
    Model(
        name="BD-LRU, a block of three",
        source="IgorDn8/mad-lab, mad/model/layers/bdlru_sel.py at 12aedab; Dubinin, Orvieto and Effenberger (2026), "
        "abstract; that the block is circulant is ours",
        eigenvalue=r"p + q\omega + r\bar\omega,\ \omega^3 = 1,\ (p, q, r, s) = \mathrm{softmax}(a, b, 0, 0)",
        scale="s",
        memory="a large, b = 0",
        unit=units.bd_lru,
        start=lambda m: {"modulus": math.log(4 * m - 3), "angle": 0.0},
        state=-1,
        sensitivity={"modulus": -1, "angle": -1},
        curvature={"modulus": 0, "angle": 0},
        because="rows share a budget of 1, so long memory forces all other weights to shrink with the distance to 1",
        mend="nothing; but weights are positive, so long memories lie near roots of unity, and a block of two cannot "
        "rotate",
    ),
)


def get(name: str) -> Model:
    """The row of a model.

    Args:
        name: as in the table.

    Raises:
        KeyError: there is no such row.
    """
    for model in MODELS:
        if model.name == name:
            return model
    raise KeyError(f"no model {name!r}; choose from {', '.join(model.name for model in MODELS)}")
