"""Optimisers on a bowl whose steep direction is a diagonal of the parameters, or an axis."""

from __future__ import annotations

import altair as alt
import numpy as np

from .. import style
from .controls import EMBED, LOWEST_LOSS, powers, radio, slider

_RATIO, _OPTIMIZERS, _STEPS = 1000, ("gradient descent", "sign descent", "Adam"), 400  # ratio of curvatures
_RATES, _FAR = np.linspace(-3, 0, 13), 10  # decimal logarithms; where a run has diverged
_GRAIN = 1e-5  # paths are stored as whole multiples of it
_LANDSCAPES = {"dense": 45, "diagonal": 0}  # degrees between the steep direction and the nearest axis
_SIZE = {"width": 152, "height": 165}


def quadratic_paths() -> dict[tuple[str, str, int], np.ndarray]:
    """What three optimisers do on a bowl whose steep direction is an axis or a diagonal.

    The bowl has curvatures 1,000 and 1; each run starts with the same loss in both directions.

    Returns:
        For each landscape (``"dense"``: rotated by 45 degrees, ``"diagonal"``), optimiser and index of the rate
        :math:`10^{-3}, 10^{-2.75}, ..., 1`: the parameters, array ``(steps + 1, 2)``, up to the step before one leaves
        [-10, 10] if the run diverges.
    """
    paths = {}
    for name, degrees in _LANDSCAPES.items():
        H, start = _bowl(np.radians(degrees))
        for optimizer in _OPTIMIZERS:
            for k, rate in enumerate(10**_RATES):
                paths[name, optimizer, k] = _descend(H, start, optimizer, rate)
    return paths


def _bowl(phi: float) -> tuple[np.ndarray, np.ndarray]:
    """Hessian with its steep direction at the angle phi, and a start with loss 1/2 in each direction."""
    steep, flat = np.array([np.cos(phi), np.sin(phi)]), np.array([-np.sin(phi), np.cos(phi)])
    return _RATIO * np.outer(steep, steep) + np.outer(flat, flat), steep / _RATIO**0.5 + flat


def _descend(H: np.ndarray, x: np.ndarray, optimizer: str, rate: float) -> np.ndarray:
    m = v = np.zeros(2)
    path = [x]
    for t in range(1, _STEPS + 1):
        g = H @ x
        if optimizer == "Adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            g = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        elif optimizer == "sign descent":
            g = np.sign(g)
        x = x - rate * g
        if np.abs(x).max() > _FAR:
            break
        path.append(x)
    return np.array(path)


def optimizer_paths() -> alt.HConcatChart:
    r"""Optimisers on a bowl whose steep direction is a diagonal of the parameters, or an axis.

    Parameters of the chart: ``optimizer``, ``rate`` (decimal logarithm), ``step`` (how much of the path is shown). The
    paths are those of :func:`quadratic_paths`, stored in the chart; losses are computed from them in the page.

    Returns:
        Chart: both bowls with the paths, and the loss against the step.

    Source: Zucchet and Orvieto (2024), section 3.2.
    """
    rows = []
    for (name, optimizer, k), path in quadratic_paths().items():
        x, y = (path / _GRAIN).round().astype(int).T.tolist()
        rows.append({"landscape": name, "optimizer": optimizer, "k": k, "x": x, "y": y})
    index = f"round((rate - {_RATES[0]}) * {(len(_RATES) - 1) / (_RATES[-1] - _RATES[0]):g})"
    color = alt.Color(
        "landscape:N", scale=alt.Scale(domain=list(_LANDSCAPES), range=[style.COLORS["rnn"], style.COLORS["lru"]])
    )
    paths = (
        alt.Chart(alt.NamedData("paths"))
        .transform_filter(f"datum.optimizer == optimizer && datum.k == {index}")
        .transform_calculate(t="sequence(length(datum.x))")
        .transform_flatten(["x", "y", "t"])
        .transform_filter("datum.t <= step")
        .transform_calculate(x=f"datum.x * {_GRAIN}", y=f"datum.y * {_GRAIN}")
        .transform_calculate(phi=f"datum.landscape == 'dense' ? {np.pi / 4} : 0")
        .transform_calculate(loss=_loss("datum.x", "datum.y", "datum.phi"))
    )
    bowls = [_path(paths, color, name, degrees) for name, degrees in _LANDSCAPES.items()]
    return (
        alt.hconcat(*bowls, _losses(paths, color), datasets={"paths": rows})
        .resolve_legend(color="independent")
        .add_params(
            radio("optimizer", "Adam", _OPTIMIZERS, "optimiser"),
            slider("rate", -1.5, _RATES[0], _RATES[-1], _RATES[1] - _RATES[0], "rate, log₁₀"),
            slider("step", _STEPS, 0, _STEPS, 1, "steps shown"),
            alt.param(
                name="readout",
                expr="'Loss after ' + step + ' steps of ' + optimizer + ' at rate ' + format(pow(10, rate), '.2~g') "
                f"+ ': dense ' + {_loss_of_path('dense', index)} "
                f"+ ', diagonal ' + {_loss_of_path('diagonal', index)} + '.'",
            ),
        )
        .properties(
            description="Three charts that follow the controls. First and second: the path of an optimiser over "
            "contours of a narrow valley, turned by 45 degrees and along an axis. Third: the loss of both "
            "paths against the step. Gradient descent does the same in both; sign descent and Adam are "
            "fast along the axis and slow where the valley is turned.",
            usermeta=EMBED,
        )
    )


def _loss(x: str, y: str, phi: str) -> str:
    steep = f"({x}) * cos({phi}) + ({y}) * sin({phi})"
    flat = f"({y}) * cos({phi}) - ({x}) * sin({phi})"
    return f"0.5 * ({_RATIO} * pow({steep}, 2) + pow({flat}, 2))"


def _loss_of_path(landscape: str, index: str) -> str:
    """The loss at the present step, or that the run has left the picture."""
    runs = list(_LANDSCAPES).index(landscape) * len(_OPTIMIZERS) * len(_RATES)
    row = f"data('paths')[{runs} + {len(_RATES)} * indexof({list(_OPTIMIZERS)}, optimizer) + {index}]"
    loss = _loss(*(f"{row}.{axis}[step] * {_GRAIN}" for axis in "xy"), str(np.radians(_LANDSCAPES[landscape])))
    below = f"below {LOWEST_LOSS:.0e}".replace("e-0", "e-")  # there the grain of the path shows
    shown = f"({loss} < {LOWEST_LOSS} ? '{below}' : format({loss}, '.2~e'))"
    return f"(step < length({row}.x) ? {shown} : 'diverged')"


def _path(paths: alt.Chart, color: alt.Color, name: str, degrees: int) -> alt.LayerChart:
    """Contours of a bowl and the path over them."""
    phi, square = np.radians(degrees), alt.Scale(domain=[-1.5, 1.5], nice=False)
    contours = (
        alt.Chart(alt.sequence(0, 8 * 61, 1, as_="i"))
        .transform_calculate(level="floor(datum.i / 61)", angle="2 * PI * (datum.i % 61) / 60")
        .transform_calculate(size="sqrt(2 * pow(10, datum.level / 2 - 2))")
        .transform_calculate(u=f"datum.size * cos(datum.angle) / {_RATIO**0.5}", v="datum.size * sin(datum.angle)")
        .transform_calculate(
            x=f"datum.u * {np.cos(phi)} - datum.v * {np.sin(phi)}",
            y=f"datum.u * {np.sin(phi)} + datum.v * {np.cos(phi)}",
        )
        .mark_line(strokeWidth=0.8, opacity=0.9, clip=True, color="#888888")
        .encode(
            x=alt.X("x:Q", title="first parameter", scale=square, axis=alt.Axis(grid=False, tickCount=3)),
            y=alt.Y("y:Q", title="second parameter", scale=square, axis=alt.Axis(grid=False, tickCount=3)),
            detail="level:N",
            order="i:Q",
        )
    )
    line = (
        paths.transform_filter(f"datum.landscape == '{name}'")
        .mark_line(point={"size": 14}, strokeWidth=1, clip=True)
        .encode(x="x:Q", y="y:Q", order="t:Q", color=color.legend(None))
    )
    return (contours + line).properties(title=name + (": turned by 45°" if degrees else ": along an axis"), **_SIZE)


def _losses(paths: alt.Chart, color: alt.Color) -> alt.Chart:
    scale = alt.Scale(type="log", domain=[LOWEST_LOSS, 1e3])
    return (
        paths.transform_calculate(shown=f"max(datum.loss, {LOWEST_LOSS})")
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("t:Q", title="step", scale=alt.Scale(domain=[0, _STEPS]), axis=alt.Axis(tickCount=2)),
            y=alt.Y("shown:Q", title="loss", scale=scale, axis=powers()),
            color=color.legend(orient="bottom", title=None),
        )
        .properties(title="loss", **_SIZE)
    )
