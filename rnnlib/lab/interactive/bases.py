"""Optimisers on two eigenvalues, which are trained in a basis to turn."""

from __future__ import annotations

import altair as alt
import numpy as np

from .. import style
from .controls import EMBED, LOWEST_LOSS, powers, radio, slider

_TEACHER, _START = (0.5, 0.95), (0.1, 0.8)  # eigenvalues
_OPTIMIZERS, _STEPS = ("gradient descent", "Adam", "Gauss-Newton"), 200
_RATES = np.linspace(-3.5, 0, 15)  # decimal logarithms
_TURN = 15  # degrees between bases; 90 is a permutation and a sign, which no optimiser notices
_ANGLES = tuple(range(0, 90, _TURN))
_GRAIN = 1e-5  # paths are stored as whole multiples of it
_CELLS, _SIDE, _CORNER = 60, 0.6, (0, 0.4)  # of the part of the plane that is shown
_LOOKS = {"own axes": (style.COLORS["lru"], [1, 0]), "turned": (style.COLORS["rnn"], [5, 3])}
_SIZE = {"width": 240, "height": 240}


def eigenvalue_paths() -> dict[tuple[str, int, int], np.ndarray]:
    r"""What three optimisers do with two real eigenvalues that imitate two others, trained in several bases.

    The loss is :math:`\frac{1}{2} \sum_\tau (\lambda_1^\tau + \lambda_2^\tau - .5^\tau - .95^\tau)^2`, that of white
    inputs. Trained is :math:`\phi` in :math:`\lambda = Q \phi` with a rotation Q. Gauss-Newton has no damping: its rate
    is the part of a step that it takes.

    Returns:
        For each optimiser, angle of the basis in degrees, 0, 15, ..., 75, and index of the rate
        :math:`10^{-3.5}, 10^{-3.25}, ..., 1`: the eigenvalues, array ``(steps + 1, 2)``, up to the step before one
        reaches the unit circle if the run diverges.
    """
    every = [(angle, k) for angle in _ANGLES for k in range(len(_RATES))]
    angles, rates = np.radians([angle for angle, _ in every]), 10 ** _RATES[[k for _, k in every]]
    paths = {}
    for optimizer in _OPTIMIZERS:
        walked = _descend(angles, rates, optimizer)
        for (angle, k), path in zip(every, walked, strict=True):
            inside = np.abs(path).max(axis=1) < 1
            paths[optimizer, angle, k] = path[: len(path) if inside.all() else int(inside.argmin())]
    return paths


def _descend(angles: np.ndarray, rates: np.ndarray, optimizer: str) -> np.ndarray:
    """Paths (runs, steps + 1, 2), which mean nothing once they have left the disc."""
    cos, sin = np.cos(angles), np.sin(angles)
    Q = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    teacher = np.broadcast_to(_TEACHER, (len(Q), 2))
    lam = np.broadcast_to(_START, (len(Q), 2))
    phi, path = np.einsum("rij,ri->rj", Q, lam), [lam]
    m = v = np.zeros_like(phi)
    with np.errstate(all="ignore"):  # of runs that have left
        for t in range(1, _STEPS + 1):
            both = np.concatenate([lam, teacher], axis=1)
            products = lam[:, :, None] * both[:, None]
            g = ((1, 1, -1, -1) * both[:, None] / (1 - products) ** 2).sum(axis=2)
            if optimizer == "Gauss-Newton":
                own = products[:, :, :2]
                g = _solved((1 + own) / (1 - own) ** 3, g)
            g = np.einsum("rij,ri->rj", Q, g)
            if optimizer == "Adam":
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
                g = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            phi = phi - rates[:, None] * g
            lam = np.einsum("rij,rj->ri", Q, phi)
            path.append(lam)
    return np.nan_to_num(np.stack(path, axis=1), nan=np.inf)


def _solved(A: np.ndarray, g: np.ndarray) -> np.ndarray:
    """A^-1 g for symmetric matrices of two rows, singular ones included."""
    (a, b), d = A[:, 0].T, A[:, 1, 1]
    return np.stack([d * g[:, 0] - b * g[:, 1], a * g[:, 1] - b * g[:, 0]], axis=1) / (a * d - b * b)[:, None]


def eigenvalue_basis() -> alt.HConcatChart:
    r"""Two eigenvalues that an optimiser trains, in their own axes and in a basis to turn.

    Parameters of the chart: ``optimizer``, ``angle`` of the basis (degrees), ``rate`` (decimal logarithm), ``step``
    (how much of the path is shown). The paths are those of :func:`eigenvalue_paths`, stored in the chart: one for all
    angles where the optimiser notices none. Losses are computed from them in the page.

    Returns:
        Chart: the plane of both eigenvalues with the loss, the axes of the basis and the paths; and the loss against
        the step.

    Source: Zucchet and Orvieto (2024), section 3.2.
    """
    rows = []
    for (optimizer, angle, k), path in eigenvalue_paths().items():
        if optimizer == "Adam" or not angle:
            x, y = (path / _GRAIN).round().astype(int).T.tolist()
            rows.append({"optimizer": optimizer, "turn": angle // _TURN, "k": k, "x": x, "y": y})
    color = alt.Color("basis:N", scale=alt.Scale(domain=[*_LOOKS], range=[color for color, _ in _LOOKS.values()]))
    dash = alt.StrokeDash("basis:N", scale=alt.Scale(domain=[*_LOOKS], range=[dash for _, dash in _LOOKS.values()]))
    return (
        alt.hconcat(_plane(color), _losses(color, dash), datasets={"paths": rows})
        .resolve_legend(color="independent", strokeDash="independent")
        .add_params(
            radio("optimizer", "Adam", _OPTIMIZERS, "optimiser"),
            slider("angle", 45, 0, 90, _TURN, "angle of the basis, degrees"),
            slider("rate", -2, _RATES[0], _RATES[-1], _RATES[1] - _RATES[0], "rate, log₁₀"),
            slider("step", _STEPS, 0, _STEPS, 1, "steps shown"),
            alt.param(
                name="readout",
                expr="'Loss after ' + step + ' steps of ' + optimizer + ' at rate ' + format(pow(10, rate), '.2~g') "
                f"+ ': in its own axes ' + {_loss_of_path('0')} "
                f"+ ', turned by ' + angle + '° ' + {_loss_of_path(_turn())} + '.'",
            ),
        )
        .properties(
            description="Two charts that follow the controls. First: the plane of two eigenvalues, coloured by the "
            "loss, with two paths of an optimiser towards .5 and .95: one trained in the axes of the eigenvalues, one "
            "in a basis turned by an angle, whose axes are drawn. Second: the loss of both paths against the step. "
            "Gradient descent and Gauss-Newton go the same way in every basis; Adam arrives in the axes of the "
            "eigenvalues, and gets stuck in the valley in every basis that is turned by less than 90 degrees.",
            usermeta=EMBED,
        )
    )


def _turn() -> str:
    """Index of the angle's paths: one angle for all where the optimiser notices none."""
    return f"(optimizer == 'Adam' ? (angle % 90) / {_TURN} : 0)"


def _index() -> str:
    return f"round((rate - ({_RATES[0]})) * {(len(_RATES) - 1) / (_RATES[-1] - _RATES[0]):g})"


def _loss(x: str, y: str) -> str:
    """The loss at eigenvalues x and y, summed up."""
    a, b = _TEACHER
    mixed = " ".join(f"- 1 / (1 - {mine} * {theirs})" for mine in (f"({x})", f"({y})") for theirs in (a, b))
    own = f"0.5 / (1 - pow({x}, 2)) + 0.5 / (1 - pow({y}, 2)) + 1 / (1 - ({x}) * ({y}))"
    return f"max(0, {own} {mixed} + {0.5 / (1 - a * a) + 0.5 / (1 - b * b) + 1 / (1 - a * b)!r})"


def _loss_of_path(turn: str) -> str:
    """The loss at the present step, or that the run has left the disc."""
    first = {optimizer: n for n, optimizer in zip((0, 1, 1 + len(_ANGLES)), _OPTIMIZERS, strict=True)}
    group = " : ".join(f"optimizer == '{name}' ? {n}" for name, n in first.items()) + " : 0"
    row = f"data('paths')[{len(_RATES)} * (({group}) + {turn}) + {_index()}]"
    loss = _loss(*(f"{row}.{axis}[step] * {_GRAIN}" for axis in "xy"))
    below = f"below {LOWEST_LOSS:.0e}".replace("e-0", "e-")  # there the grain of the path shows
    shown = f"({loss} < {LOWEST_LOSS} ? '{below}' : format({loss}, '.2~e'))"
    return f"(step < length({row}.x) ? {shown} : 'diverged')"


def _paths(basis: str) -> alt.Chart:
    turn = _turn() if basis == "turned" else "0"
    return (
        alt.Chart(alt.NamedData("paths"))
        .transform_filter(f"datum.optimizer == optimizer && datum.k == {_index()} && datum.turn == {turn}")
        .transform_calculate(t="sequence(length(datum.x))")
        .transform_flatten(["x", "y", "t"])
        .transform_filter("datum.t <= step")
        .transform_calculate(x=f"datum.x * {_GRAIN}", y=f"datum.y * {_GRAIN}", basis=f"'{basis}'")
        .transform_calculate(loss=_loss("datum.x", "datum.y"))
    )


def _plane(color: alt.Color) -> alt.LayerChart:
    """Both eigenvalues: the loss as bands of half a decade, the axes of the basis at the start, and the paths."""
    ends = [alt.Scale(domain=[corner, corner + _SIDE], nice=False) for corner in _CORNER]
    axis = alt.Axis(grid=False, tickCount=4)
    x, y = alt.X("x:Q", title="λ₁", scale=ends[0], axis=axis), alt.Y("y:Q", title="λ₂", scale=ends[1], axis=axis)
    side = _SIDE / _CELLS
    places = (f"datum.i % {_CELLS}", f"floor(datum.i / {_CELLS})")
    middles = {name: f"{corner} + {side} * ({n} + 0.5)" for name, corner, n in zip("xy", _CORNER, places, strict=True)}
    squares = (
        alt.Chart(alt.sequence(0, _CELLS**2, 1, as_="i"))
        .transform_calculate(**middles)
        .transform_calculate(band=f"pow(10, floor(2 * log({_loss('datum.x', 'datum.y')}) / LN10) / 2)")
        .transform_calculate(x2=f"datum.x + {0.55 * side}", y2=f"datum.y + {0.55 * side}")
        .transform_calculate(x=f"datum.x - {0.55 * side}", y=f"datum.y - {0.55 * side}")  # no seam shows
        .mark_rect(clip=True, opacity=1, stroke=None)
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            fill=alt.Fill(
                "band:Q",
                scale=alt.Scale(type="log", domain=[1e-2, 10], clamp=True, range=["#ffffff", "#8c8c8c"]),
                legend=None,
            ),
        )
    )
    axes = (
        alt.Chart(alt.sequence(0, 2, 1, as_="i"))
        .transform_calculate(turned="(angle + 90 * datum.i) * PI / 180", x=f"{_START[0]}", y=f"{_START[1]}")
        .transform_calculate(x2="datum.x + 0.08 * cos(datum.turned)", y2="datum.y + 0.08 * sin(datum.turned)")
        .mark_rule(strokeWidth=1.5, color=_LOOKS["turned"][0], clip=True)
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q")
    )
    goal = (
        alt.Chart(alt.sequence(0, 1, 1, as_="i"))
        .transform_calculate(x=f"{_TEACHER[0]}", y=f"{_TEACHER[1]}")
        .mark_point(shape="cross", filled=False, size=90, color="black", strokeWidth=1.5, opacity=1)
        .encode(x=x, y=y)
    )
    lines = [
        _paths(basis)
        .mark_line(point={"size": 12}, strokeWidth=1, clip=True)
        .encode(x=x, y=y, order="t:Q", color=color.legend(None))
        for basis in _LOOKS
    ]
    return alt.layer(squares, axes, goal, *lines).properties(title="both eigenvalues; + is the teacher", **_SIZE)


def _losses(color: alt.Color, dash: alt.StrokeDash) -> alt.LayerChart:
    scale, legend = alt.Scale(type="log", domain=[LOWEST_LOSS, 10]), alt.Legend(orient="bottom", title=None)
    lines = [
        _paths(basis)
        .transform_calculate(shown=f"max(datum.loss, {LOWEST_LOSS})")
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("t:Q", title="step", scale=alt.Scale(domain=[0, _STEPS])),
            y=alt.Y("shown:Q", title="loss", scale=scale, axis=powers()),
            color=color.legend(legend),
            strokeDash=dash.legend(legend),
        )
        for basis in _LOOKS
    ]
    return alt.layer(*lines).properties(title="loss", **_SIZE)
