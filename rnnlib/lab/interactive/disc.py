"""An eigenvalue to drag over the unit disc."""

from __future__ import annotations

import altair as alt

from .. import style
from .controls import EMBED, rho_and_normalization
from .expressions import sensitivity, state_variance, with_loss

_WINDOW = 0.15  # half the side of the second picture
_GAMMA2 = "(normalized ? 1 - pow(nu_lam, 2) : 1)"
_VARIANCE, _SENSITIVITY = (f"({_GAMMA2} * {moment('nu_lam', 'theta_lam')})" for moment in (state_variance, sensitivity))
_SQUARE = {"width": 158, "height": 158}


def complex_plane() -> alt.HConcatChart:
    r"""A unit's eigenvalue to drag over the disc, with its impulse response, sensitivity and the loss around it.

    Parameters of the chart: the selection ``lam`` with fields ``m`` (decimal logarithm of :math:`1/(1 - |\lambda|)`)
    and ``angle`` (:math:`\theta/\pi`), which follow sliders or the pointer; ``rho``; ``normalized``.

    Returns:
        Chart: the disc and a window of fixed size around the eigenvalue, both coloured by the loss of a student that
        imitates it, over :math:`\mathrm{E}|h|^2`; :math:`\mathrm{Re}\,\gamma\lambda^t` and
        :math:`\mathrm{Re}\,\gamma t\lambda^{t-1}` against t, with their second moments. :math:`\gamma` is 1 or, where
        inputs are scaled, :math:`\sqrt{1 - |\lambda|^2}`; it is held constant in derivatives, as in Figure 2.

    Source: Zucchet and Orvieto (2024), sections 2.2 and 2.3; :func:`rnnlib.theory.one_dimensional_loss`.
    """
    plane = (_heat(1.0, 60, ("0", "0"), "λ") + _cross("x:Q", "y:Q") + _handles()).properties(
        title="drag λ over the disc", **_SQUARE
    )
    around = ("nu_lam * cos(theta_lam)", "nu_lam * sin(theta_lam)")
    window = (_heat(_WINDOW, 45, around, "(λ′ − λ)") + _cross("zero:Q", "zero:Q")).properties(
        title="loss of a student at λ′", **_SQUARE
    )
    steps = alt.Chart(alt.sequence(0, 101, 1, as_="t")).transform_calculate(
        response=f"sqrt({_GAMMA2}) * pow(nu_lam, datum.t) * cos(datum.t * theta_lam)",
        sensitivity="datum.t == 0 ? 0 : "
        f"sqrt({_GAMMA2}) * datum.t * pow(nu_lam, datum.t - 1) * cos((datum.t - 1) * theta_lam)",
    )
    traces = alt.vconcat(
        _trace(steps, "response", "Re γλᵗ", 1, "E|h|²", _VARIANCE),
        _trace(steps, "sensitivity", "Re γtλᵗ⁻¹", 40, "E|dh/dλ|²", _SENSITIVITY),
    )
    return (
        alt.hconcat(plane, window, traces)
        .add_params(
            *rho_and_normalization(),
            alt.param(name="nu_lam", expr="1 - pow(10, -lam_m)"),
            alt.param(name="theta_lam", expr="PI * lam_angle"),
            alt.param(
                name="readout",
                expr="'|λ| = ' + format(nu_lam, '.4f') + ', angle ' + format(lam_angle, '.2f') + ' π. E|h|² = ' + "
                f"format({_VARIANCE}, '.4~s') + ', E|dh/dλ|² = ' + format({_SENSITIVITY}, '.4~s') + '.'",
            ),
        )
        .properties(
            description="Three charts that follow an eigenvalue lambda, set by sliders or dragged over the first. "
            "First: the unit disc, coloured by the loss of a student at each point that imitates lambda. "
            "Second: the same in a window of fixed size around lambda. Third: real parts of the impulse "
            "response and of its derivative against time. As lambda nears the circle the response lasts "
            "longer, its derivative grows much more, and the region of low loss shrinks to a point.",
            usermeta=EMBED,
        )
    )


def _heat(half: float, cells: int, centre: tuple[str, str], of: str) -> alt.Chart:
    """Squares over a window, coloured by the loss where they lie in the disc."""
    side = 2 * half / cells
    edge = 0.53 * side  # neighbours overlap, so that no seam shows
    chart = alt.Chart(alt.sequence(0, cells * cells, 1, as_="i")).transform_calculate(
        re=f"{centre[0]} + {side} * (datum.i % {cells} + 0.5) - {half}",
        im=f"{centre[1]} + {side} * (floor(datum.i / {cells}) + 0.5) - {half}",
    )
    chart = chart.transform_calculate(nu="sqrt(datum.re * datum.re + datum.im * datum.im)")
    chart = chart.transform_filter("datum.nu < 0.9999").transform_calculate(theta="atan2(datum.im, datum.re)")
    chart = with_loss(chart, "datum.nu", "datum.theta", "nu_lam", "theta_lam")
    x, y = (f"datum.{part}" + (f" - {c}" if c != "0" else "") for part, c in zip(("re", "im"), centre, strict=True))
    bands = f"pow(10, floor(2 * log(datum.loss / {_VARIANCE}) / LN10) / 2)"
    chart = chart.transform_calculate(shown=bands, x=x, y=y).transform_calculate(
        x1=f"datum.x - {edge}", x2=f"datum.x + {edge}", y1=f"datum.y - {edge}", y2=f"datum.y + {edge}"
    )
    scale, axis = alt.Scale(domain=[-half, half], nice=False), alt.Axis(grid=False, tickCount=5)
    legend = {"orient": "bottom", "direction": "horizontal", "gradientLength": 158, "format": ".0e"}
    return chart.mark_rect().encode(
        x=alt.X("x1:Q", title=f"Re {of}", scale=scale, axis=axis),
        y=alt.Y("y1:Q", title=f"Im {of}", scale=scale, axis=axis),
        x2="x2:Q",
        y2="y2:Q",
        color=alt.Color(
            "shown:Q",
            title="loss / E|h|²",
            scale=alt.Scale(type="log", domain=[1e-4, 1], clamp=True, scheme="viridis"),
            legend=alt.Legend(values=[1e-4, 1e-3, 1e-2, 0.1, 1], **legend),
        ),
    )


def _handles() -> alt.Chart:
    """Invisible points of the disc, the nearest of which the pointer selects."""
    lam = alt.selection_point(
        name="lam",
        fields=["m", "angle"],
        value=[{"m": 1, "angle": 0.25}],
        nearest=True,
        toggle=False,
        clear=False,
        on="click, [pointerdown, window:pointerup] > pointermove",
        bind={
            "m": alt.binding_range(min=0.1, max=2, step=0.02, name="memory of λ, log₁₀ 1/(1 − |λ|)"),
            "angle": alt.binding_range(min=-1, max=1, step=0.01, name="angle of λ, θ/π"),
        },
    )
    return (
        alt.Chart(alt.sequence(0, 20 * 100, 1, as_="i"))
        # Whole numbers divided once: a sum of tenths shows as 0.30000000000000004, and wraps the row of its slider.
        .transform_calculate(m="(1 + floor(datum.i / 100)) / 10", angle="(datum.i % 100 - 49) / 50")
        .transform_calculate(
            x="(1 - pow(10, -datum.m)) * cos(PI * datum.angle)", y="(1 - pow(10, -datum.m)) * sin(PI * datum.angle)"
        )
        .mark_point(opacity=0, size=30)
        .encode(x="x:Q", y="y:Q")
        .add_params(lam)
    )


def _cross(x: str, y: str) -> alt.LayerChart:
    """An open cross at the eigenvalue that is seen on every colour and hides no basin."""
    point = alt.Chart(alt.sequence(0, 1, 1, as_="i")).transform_calculate(
        x="nu_lam * cos(theta_lam)", y="nu_lam * sin(theta_lam)", zero="0"
    )
    cross = {"shape": "cross", "filled": False, "size": 60, "opacity": 1, "strokeWidth": 1.2}
    layers = [
        point.mark_point(**cross | {"stroke": "black", "strokeWidth": 3}),
        point.mark_point(**cross, stroke="white"),
    ]
    return alt.layer(*(layer.encode(x=alt.X(x), y=alt.Y(y)) for layer in layers))


def _trace(steps: alt.Chart, field: str, symbol: str, reach: float, moment: str, value: str) -> alt.Chart:
    """The response or its derivative over time, its second moment in the title."""
    axis = alt.Axis(values=[-reach, 0, reach])
    y = alt.Y(f"{field}:Q", title=symbol, scale=alt.Scale(domain=[-reach, reach]), axis=axis)
    color = style.COLORS["lru"]
    line = steps.mark_line(point={"size": 12, "color": color}, strokeWidth=1, color=color)
    return line.encode(x=alt.X("t:Q", title="steps since the input, t"), y=y).properties(
        width=152, height=60, title=alt.Title(alt.expr(f"'{moment} = ' + format({value}, '.4~s')"))
    )
