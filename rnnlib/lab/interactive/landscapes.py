"""The loss of one unit that imitates another, in three parametrisations."""

from __future__ import annotations

import altair as alt

from .controls import EMBED, colors, decades, powers, radio, rho_and_normalization, slider, strokes
from .expressions import curvature, state_variance, with_loss

_WAYS = ("polar", "exponential", "optimal")  # in the order of the legend
_WAY = "datum.k == 0 ? 'polar' : datum.k == 1 ? 'exponential' : 'optimal'"
_DASHES = [[2, 2], [1, 0], [7, 3]]  # not by colour alone
_UNDEFINED = "along == 'angle' && angle == 0"  # of the exponential parametrisation
_SHOWN = f"!({_UNDEFINED} && datum.k == 1)"
_SIZE = {"width": 265, "height": 190}


def landscape() -> alt.HConcatChart:
    r"""Loss of one unit that imitates another, and its curvature at the optimum, in three parametrisations.

    Parameters of the chart: ``memory`` (decimal logarithm of :math:`1/(1 - |\lambda^*|)`), ``rho``, ``normalized``,
    ``along`` (the modulus or the angle is learned), ``angle`` (:math:`\theta^*/\pi`). The modulus is :math:`\omega`,
    :math:`e^{-e^{\omega}}` or :math:`\tanh\omega`; the angle is :math:`\omega`, :math:`e^{\omega}` or
    :math:`\omega (1 - \nu^2) / (\nu\sqrt{1 + \nu^2})` with the modulus held. Where the angle is learned and
    :math:`\theta^* = 0`, the exponential parametrisation is missing: no :math:`\omega` has that angle.

    Returns:
        Chart: loss, over that of predicting zero, against the raw parameter's distance from the optimum; and curvature
        at the optimum against memory length.

    Source: Zucchet and Orvieto (2024), Figures 1 and 6; :func:`rnnlib.theory.one_dimensional_loss`.
    """
    dashes = alt.Scale(domain=list(_WAYS), range=_DASHES)
    look = {
        "color": alt.Color("way:N", scale=colors(_WAYS), title="parametrisation", legend=strokes()),
        "strokeDash": alt.StrokeDash("way:N", title="parametrisation", scale=dashes, legend=strokes()),
    }
    return (
        alt.hconcat(_losses(look), _curvatures(look))
        .add_params(
            slider("memory", 1.5, 0.1, 3, 0.01, "memory of the teacher, log₁₀ 1/(1 − |λ*|)"),
            *rho_and_normalization(),
            radio("along", "modulus", ("modulus", "angle"), "learn the"),
            slider("angle", 0, 0, 1, 0.01, "angle of the teacher, θ*/π"),
            alt.param(name="nu_star", expr="1 - pow(10, -memory)"),
            alt.param(name="theta_star", expr="PI * angle"),
            alt.param(name="stretch", expr="(1 - nu_star * nu_star) / (nu_star * sqrt(1 + nu_star * nu_star))"),
            alt.param(
                name="readout",
                expr="'|λ*| = ' + format(nu_star, '.4f') + '. Curvature at the optimum along the ' + along + "
                + " + ".join(
                    f"'{sign} {way} ' + ({_UNDEFINED if k == 1 else 'false'} ? 'undefined' : "
                    f"format({curvature(str(k), 'nu_star', 'theta_star')}, '.2~e'))"
                    for k, (sign, way) in enumerate(zip(":,,", _WAYS, strict=True))
                )
                + " + '.'",
            ),
        )
        .properties(
            description="Two charts that follow the controls. Left: loss of one unit that imitates another, over that "
            "of predicting zero, against the distance of its raw parameter from the optimum, one curve a "
            "parametrisation. Right: curvature at the optimum against the teacher's memory, a dot at the present "
            "teacher. As memory grows the polar well narrows to a needle; exponential and optimal parametrisations "
            "keep the well of the modulus wide once inputs are scaled.",
            usermeta=EMBED,
        )
    )


def _losses(look: dict) -> alt.Chart:
    """x is the raw parameter minus its value at the optimum; points crowd there, so that a needle has an inside."""
    base = alt.Chart(alt.sequence(0, 3 * 401, 1, as_="i")).transform_calculate(
        k="floor(datum.i / 401)", x="pow((datum.i % 401) / 200 - 1, 3)"
    )
    base = base.transform_calculate(way=_WAY, tanh="1 - 2 / (exp(2 * datum.x) + 1)").transform_filter(_SHOWN)
    base = base.transform_calculate(
        nu="along == 'angle' ? nu_star : datum.k == 0 ? nu_star + datum.x : datum.k == 1 ? "
        "pow(nu_star, exp(datum.x)) : (nu_star + datum.tanh) / (1 + nu_star * datum.tanh)",
        theta="along == 'modulus' ? theta_star : datum.k == 0 ? theta_star + datum.x : datum.k == 1 ? "
        "theta_star * exp(datum.x) : theta_star + datum.x * stretch",
    ).transform_filter("datum.nu > 0 && datum.nu < 1 && abs(datum.theta) <= PI")
    base = with_loss(base, "datum.nu", "datum.theta", "nu_star", "theta_star")
    zero = f"0.5 * pow(datum.g_star, 2) * {state_variance('nu_star', 'theta_star')}"  # the loss of predicting zero
    title = alt.Title(alt.expr("'loss around |λ*| = ' + format(nu_star, '.4f')"))
    return (
        base.transform_calculate(share=f"datum.loss / ({zero})")
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X(
                "x:Q",
                title="raw parameter, distance from the optimum",
                scale=alt.Scale(nice=False),
                axis=alt.Axis(tickCount=5),
            ),
            y=alt.Y("share:Q", title="loss / loss of predicting zero", scale=alt.Scale(domain=[0, 2])),
            **look,
        )
        .properties(title=title, **_SIZE)
    )


def _curvatures(look: dict) -> alt.LayerChart:
    """The last point of each curve is the teacher of the other chart."""
    curves = alt.Chart(alt.sequence(0, 3 * 101, 1, as_="i")).transform_calculate(
        k="floor(datum.i / 101)", last="datum.i % 101 == 100"
    )
    curves = curves.transform_calculate(way=_WAY, m="datum.last ? memory : 0.05 + 2.95 * (datum.i % 101) / 99")
    curves = curves.transform_filter(_SHOWN).transform_calculate(nu="1 - pow(10, -datum.m)", length="pow(10, datum.m)")
    curves = curves.transform_calculate(curvature=curvature("datum.k", "datum.nu", "theta_star"))
    x = alt.X(
        "length:Q",
        title="memory 1/(1 − |λ*|), steps",
        scale=alt.Scale(type="log", domain=[1, 1e3]),
        axis=decades(0, 3),
    )
    y = alt.Y("curvature:Q", title="curvature", scale=alt.Scale(type="log", domain=[1e-4, 1e13]), axis=powers())
    lines = curves.transform_filter("!datum.last").mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, **look)
    teacher = curves.transform_filter("datum.last").mark_point(filled=True, size=60, opacity=1)
    points = teacher.encode(x=x, y=y, color=look["color"])
    return (lines + points).properties(title="curvature at the optimum", **_SIZE)
