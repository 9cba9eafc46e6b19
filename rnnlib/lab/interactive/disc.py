"""An eigenvalue to drag over the unit disc."""

from __future__ import annotations

import altair as alt

from .. import style
from .controls import EMBED, rho_and_normalization
from .expressions import sensitivity, state_variance, with_loss

_WINDOW = 0.15  # half the side of the second picture
_LEVELS = (0.001, 0.01, 0.1, 0.3)  # of the loss over E|h|^2, at which lines are drawn
_COLORS = ["#7d54b2", "#3b7cc0", "#1f9a86", "#8a8f1f"]  # of these lines, on a white page and on a dark one
_RAYS, _STEPS, _DECADES = 64, 40, 3.5  # of the search for these lines: directions, radii of each and their range
_GAMMA2 = "(normalized ? 1 - pow(nu_lam, 2) : 1)"
_VARIANCE, _SENSITIVITY = (f"({_GAMMA2} * {moment('nu_lam', 'theta_lam')})" for moment in (state_variance, sensitivity))
_SQUARE = {"width": 155, "height": 155}


def complex_plane() -> alt.HConcatChart:
    r"""A unit's eigenvalue to drag over the disc, with its impulse response, sensitivity and the loss around it.

    Parameters of the chart: the selection ``lam`` with fields ``m`` (decimal logarithm of :math:`1/(1 - |\lambda|)`)
    and ``angle`` (:math:`\theta/\pi`), which follow sliders or the pointer; ``rho``; ``normalized``.

    Returns:
        Chart: the disc and a window of fixed size around the eigenvalue, both with lines of equal loss of a student
        that imitates it, over :math:`\mathrm{E}|h|^2`; :math:`\mathrm{Re}\,\gamma\lambda^t` and
        :math:`\mathrm{Re}\,\gamma t\lambda^{t-1}` against t, with their second moments. :math:`\gamma` is 1 or, where
        inputs are scaled, :math:`\sqrt{1 - |\lambda|^2}`; it is held constant in derivatives, as in Figure 2.

    Source: Zucchet and Orvieto (2024), sections 2.2 and 2.3; :func:`rnnlib.theory.one_dimensional_loss`.
    """
    contours = _contours()
    here = ("nu_lam * cos(theta_lam)", "nu_lam * sin(theta_lam)")
    plane = alt.layer(
        _circle(1.0, ("0", "0"), "λ"), _lines(contours, ("0", "0")), _cross("x:Q", "y:Q"), _handles()
    ).properties(title="drag λ over the disc", **_SQUARE)
    window = alt.layer(
        _circle(_WINDOW, here, "(λ′ − λ)"), _lines(contours, here), _cross("zero:Q", "zero:Q")
    ).properties(title="near λ: loss at λ′", **_SQUARE)
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
            "First: the unit disc, with lines of equal loss of a student that imitates lambda. "
            "Second: the same in a window of fixed size around lambda. Third: real parts of the impulse "
            "response and of its derivative against time. As lambda nears the circle the response lasts "
            "longer, its derivative grows much more, and the lines of low loss shrink to a point.",
            usermeta=EMBED,
        )
    )


def _contours() -> alt.Chart:
    """Points (re, im) of lines of equal loss: on each ray from the eigenvalue, where the loss first reaches a level.

    Between two radii the loss is taken as a power of the radius. At the circle it counts as infinite, so that each ray
    has a point of each line.
    """
    grid = alt.Chart(alt.sequence(0, _RAYS * (_STEPS + 1), 1, as_="i")).transform_calculate(
        ray=f"floor(datum.i / {_STEPS + 1})", step=f"datum.i % {_STEPS + 1}"
    )
    grid = grid.transform_calculate(turn=f"2 * PI * datum.ray / {_RAYS}")
    grid = grid.transform_calculate(  # the reach is where the ray meets the circle
        direction="theta_lam + datum.turn",
        reach="sqrt(1 - pow(nu_lam * sin(datum.turn), 2)) - nu_lam * cos(datum.turn)",
    )
    # Radii crowd at the circle, where the loss of a student with scaled inputs changes fast.
    grid = grid.transform_calculate(r=f"datum.reach * pow(10, -{_DECADES} * pow(1 - datum.step / {_STEPS}, 1.5))")
    grid = grid.transform_calculate(
        re="nu_lam * cos(theta_lam) + datum.r * cos(datum.direction)",
        im="nu_lam * sin(theta_lam) + datum.r * sin(datum.direction)",
    )
    grid = grid.transform_calculate(nu="sqrt(datum.re * datum.re + datum.im * datum.im)")
    grid = grid.transform_calculate(theta="atan2(datum.im, datum.re)")
    grid = with_loss(grid, "datum.nu", "datum.theta", "nu_lam", "theta_lam")
    grid = grid.transform_calculate(share=f"datum.step == {_STEPS} ? 1e9 : datum.loss / {_VARIANCE}")
    grid = grid.transform_window(
        sort=[{"field": "step"}],
        groupby=["ray"],
        r_before="lag(r)",
        share_before="lag(share)",
    )
    below = {name: " + ".join(f"(datum.{name} >= {level})" for level in _LEVELS) for name in ("share", "share_before")}
    crossed = grid.transform_filter(f"datum.step > 0 && {below['share']} > {below['share_before']}")
    crossed = crossed.transform_calculate(level=f"{list(_LEVELS)}").transform_flatten(["level"])
    crossed = crossed.transform_filter("datum.share >= datum.level && datum.share_before < datum.level")
    crossed = crossed.transform_calculate(
        part="datum.share > 1e8 ? 1 : log(datum.level / datum.share_before) / log(datum.share / datum.share_before)"
    )
    crossed = crossed.transform_calculate(r="datum.r_before * pow(datum.r / datum.r_before, datum.part)")
    first = crossed.transform_aggregate(r="min(r)", groupby=["ray", "direction", "level"])
    return first.transform_calculate(
        re="nu_lam * cos(theta_lam) + datum.r * cos(datum.direction)",
        im="nu_lam * sin(theta_lam) + datum.r * sin(datum.direction)",
    )


def _axes(half: float, of: str) -> tuple[alt.X, alt.Y]:
    scale, axis = alt.Scale(domain=[-half, half], nice=False), alt.Axis(grid=False, tickCount=3)
    return alt.X("x:Q", title=f"Re {of}", scale=scale, axis=axis), alt.Y(
        "y:Q", title=f"Im {of}", scale=scale, axis=axis
    )


def _circle(half: float, centre: tuple[str, str], of: str) -> alt.Chart:
    """The unit circle, seen from ``centre``."""
    x, y = _axes(half, of)
    return (
        alt.Chart(alt.sequence(0, 1441, 1, as_="i"))
        .transform_calculate(x=f"cos(PI * datum.i / 720) - ({centre[0]})", y=f"sin(PI * datum.i / 720) - ({centre[1]})")
        .mark_line(color="#888888", strokeWidth=1, clip=True)
        .encode(x=x, y=y, order="i:Q")
    )


def _lines(contours: alt.Chart, centre: tuple[str, str]) -> alt.Chart:
    """One closed line a level."""
    look = {"symbolType": "stroke", "symbolSize": 300, "direction": "horizontal"}
    legend = alt.Legend(orient="bottom", title="loss / E|h|²", **look)
    return (
        contours.transform_calculate(x=f"datum.re - ({centre[0]})", y=f"datum.im - ({centre[1]})")
        .mark_line(interpolate="linear-closed", strokeWidth=1.6, clip=True)
        .encode(
            x="x:Q",
            y="y:Q",
            order="ray:Q",
            color=alt.Color("level:O", legend=legend, scale=alt.Scale(domain=list(_LEVELS), range=_COLORS)),
        )
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


def _cross(x: str, y: str) -> alt.Chart:
    """A small cross at the eigenvalue that hides no line."""
    point = alt.Chart(alt.sequence(0, 1, 1, as_="i")).transform_calculate(
        x="nu_lam * cos(theta_lam)", y="nu_lam * sin(theta_lam)", zero="0"
    )
    cross = point.mark_point(shape="cross", filled=True, size=30, opacity=1, color=style.COLORS["lru"])
    return cross.encode(x=alt.X(x), y=alt.Y(y))


def _trace(steps: alt.Chart, field: str, symbol: str, reach: float, moment: str, value: str) -> alt.Chart:
    """The response or its derivative over time, its second moment in the title."""
    axis = alt.Axis(values=[-reach, 0, reach])
    y = alt.Y(f"{field}:Q", title=symbol, scale=alt.Scale(domain=[-reach, reach]), axis=axis)
    color = style.COLORS["lru"]
    line = steps.mark_line(point={"size": 12, "color": color}, strokeWidth=1, color=color)
    x = alt.X("t:Q", title="steps since the input, t", axis=alt.Axis(tickCount=2))
    return line.encode(x=x, y=y).properties(
        width=146, height=60, title=alt.Title(alt.expr(f"'{moment} = ' + format({value}, '.4~s')"))
    )
