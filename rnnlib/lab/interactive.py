r"""Figures to play with: the closed forms of :mod:`rnnlib.theory`, evaluated by the browser.

Each function returns a Vega-Altair chart that needs no kernel: sliders and checkboxes set parameters, and the browser
evaluates the expressions below, the same on a page of the book and in Colab. Tests hold the numbers in the page equal
to :mod:`rnnlib.theory`. Needs ``altair`` 5.4 or later, which Colab has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import style

if TYPE_CHECKING:
    import altair as alt

__all__ = ["complex_plane", "landscape", "optimizer_paths", "quadratic_paths"]

#: Parametrisations of :func:`landscape`, in the order of their legend.
_WAYS = ("polar", "exponential", "optimal")
_DASHES = [[2, 2], [1, 0], [7, 3]]  # not by colour alone
_LOWEST_LOSS = 1e-5  # a logarithmic axis has no zero
#: Curvature ratio, optimisers, decimal logarithms of the rates, and steps of :func:`optimizer_paths`.
_RATIO, _OPTIMIZERS, _STEPS = 1000, ("gradient descent", "sign descent", "Adam"), 400
_RATES, _FAR = np.linspace(-3, 0, 13), 10
_GRAIN = 1e-5  # paths are stored as whole multiples of it
_WINDOW = 0.15  # half the side of the second picture of complex_plane
_LANDSCAPES = {"dense": 45, "diagonal": 0}  # degrees between the steep direction and the nearest axis


class _Complex:
    """A complex number as a pair of Vega expressions, real and imaginary part."""

    def __init__(self, real: str, imag: str):
        self.real, self.imag = real, imag

    @classmethod
    def polar(cls, modulus: str, angle: str) -> _Complex:
        return cls(f"({modulus}) * cos({angle})", f"({modulus}) * sin({angle})")

    def __mul__(self, other: _Complex) -> _Complex:
        (a, b), (c, d) = (self.real, self.imag), (other.real, other.imag)
        return _Complex(f"(({a}) * ({c}) - ({b}) * ({d}))", f"(({a}) * ({d}) + ({b}) * ({c}))")

    def one_minus(self, factor: str = "1") -> _Complex:
        """1 - factor * self."""
        return _Complex(f"(1 - ({factor}) * ({self.real}))", f"(-({factor}) * ({self.imag}))")

    def real_part_over(self, other: _Complex) -> str:
        """Re(self / other)."""
        (a, b), (c, d) = (self.real, self.imag), (other.real, other.imag)
        return f"(({a}) * ({c}) + ({b}) * ({d})) / (pow({c}, 2) + pow({d}, 2))"


def _with_loss(chart: alt.Chart, nu: str, theta: str, nu_star: str, theta_star: str) -> alt.Chart:
    """Add the field ``loss``: theory.one_dimensional_loss of parameters ``rho`` and ``normalized``, step by step."""
    a, b = _Complex.polar(nu, theta), _Complex.polar(nu_star, f"-({theta_star})")
    chart, a = _named(chart, "a", a)
    chart, b = _named(chart, "b", b)
    chart, ab = _named(chart, "ab", a * b)
    chart, below = _named(chart, "below", ab.one_minus() * a.one_minus("rho"))
    chart, below = _named(chart, "all_below", below * b.one_minus("rho"))
    cross = ab.one_minus("rho * rho").real_part_over(below)
    chart = chart.transform_calculate(
        g=f"normalized ? sqrt(1 - pow({nu}, 2)) : 1", g_star=f"normalized ? sqrt(1 - pow({nu_star}, 2)) : 1"
    )
    student, teacher = _state_variance(nu, theta), _state_variance(nu_star, theta_star)
    # The difference of equal terms can round below zero.
    return chart.transform_calculate(
        loss=f"max(0, 0.5 * (pow(datum.g, 2) * {student} + pow(datum.g_star, 2) * {teacher}) "
        f"- datum.g * datum.g_star * {cross})"
    )


def _named(chart: alt.Chart, name: str, z: _Complex) -> tuple[alt.Chart, _Complex]:
    """Give a complex expression a name, so that what uses it stays short."""
    chart = chart.transform_calculate(**{f"{name}_re": z.real, f"{name}_im": z.imag})
    return chart, _Complex(f"datum.{name}_re", f"datum.{name}_im")


def _denominator(nu: str, theta: str) -> str:
    """|1 - rho lambda|^2."""
    return f"(1 - 2 * rho * ({nu}) * cos({theta}) + pow(rho * ({nu}), 2))"


def _state_variance(nu: str, theta: str) -> str:
    """theory.state_variance."""
    return f"((1 - pow(rho * ({nu}), 2)) / ((1 - pow({nu}, 2)) * {_denominator(nu, theta)}))"


def _sensitivity(nu: str, theta: str) -> str:
    """theory.sensitivity, with ab = nu^2 and a + b = 2 nu cos(theta)."""
    square, white = f"pow({nu}, 2)", "(1 - rho * rho)"
    top = (
        f"({white} * (1 + {square}) + rho * rho * pow(1 - {square}, 3) "
        f"+ rho * {white} * {square} * (rho * {square} * (1 + {square}) - 4 * ({nu}) * cos({theta})))"
    )
    return f"({top} / (pow(1 - {square}, 3) * pow({_denominator(nu, theta)}, 2)))"


def _slope_of_variance(nu: str, theta: str) -> str:
    """The derivative of E|h|^2 with respect to the modulus."""
    inner = (
        f"(2 * ({nu}) / (1 - pow({nu}, 2)) - 2 * rho * rho * ({nu}) / (1 - pow(rho * ({nu}), 2)) "
        f"+ 2 * (rho * cos({theta}) - rho * rho * ({nu})) / {_denominator(nu, theta)})"
    )
    return f"({_state_variance(nu, theta)} * {inner})"


def _curvature(k: str, nu: str, theta: str) -> str:
    """Second derivative of the loss at the optimum, over the raw parameter of the k-th parametrisation."""
    S, V, slope = (f(nu, theta) for f in (_sensitivity, _state_variance, _slope_of_variance))
    square = f"pow({nu}, 2)"
    radial = f"(normalized ? (1 - {square}) * {S} - ({nu}) * {slope} + {square} / (1 - {square}) * {V} : {S})"
    angular = f"({square} * {S} * (normalized ? 1 - {square} : 1))"
    slope_nu = f"({k} == 0 ? 1 : {k} == 1 ? ({nu}) * log({nu}) : 1 - {square})"
    slope_theta = f"({k} == 0 ? 1 : {k} == 1 ? {theta} : (1 - {square}) / (({nu}) * sqrt(1 + {square})))"
    return f"along == 'modulus' ? {radial} * pow({slope_nu}, 2) : {angular} * pow({slope_theta}, 2)"


def _slider(name: str, value: float, low: float, high: float, step: float, label: str) -> alt.Parameter:
    import altair as alt

    return alt.param(name=name, value=value, bind=alt.binding_range(min=low, max=high, step=step, name=label))


def _checkbox(name: str, value: bool, label: str) -> alt.Parameter:
    import altair as alt

    return alt.param(name=name, value=value, bind=alt.binding_checkbox(name=label))


def _radio(name: str, value: str, options: tuple[str, ...], label: str) -> alt.Parameter:
    import altair as alt

    return alt.param(name=name, value=value, bind=alt.binding_radio(options=list(options), name=label))


def _rho_and_normalization() -> list[alt.Parameter]:
    return [
        _slider("rho", 0, 0, 1, 0.001, "input correlation ρ"),
        _checkbox("normalized", False, "scale inputs by γ = √(1 − |λ|²)"),
    ]


def landscape() -> alt.HConcatChart:
    r"""Loss of one unit that imitates another, and its curvature at the optimum, in three parametrisations.

    Parameters of the chart: ``memory`` (decimal logarithm of :math:`1/(1 - |\lambda^*|)`), ``rho``, ``normalized``,
    ``along`` (the modulus or the angle is learned), ``way_shown`` (one parametrisation, or all), ``turn``
    (:math:`\theta^*/\pi`), ``reach`` (how far the raw parameter goes from the optimum). The modulus is
    :math:`\omega`, :math:`e^{-e^{\omega}}` or :math:`\tanh\omega`; the angle is :math:`\omega`,
    :math:`e^{\omega}` or :math:`\omega (1 - \nu^2) / (\nu\sqrt{1 + \nu^2})` with the modulus held. Where the angle is
    learned and :math:`\theta^* = 0`, the exponential parametrisation is left out: no :math:`\omega` has that angle.

    Returns:
        Chart: loss against the raw parameter's distance from the optimum, and curvature at the optimum against memory
        length.

    Source: Zucchet and Orvieto (2024), Figures 1 and 6; :func:`rnnlib.theory.one_dimensional_loss`.
    """
    import altair as alt

    color = alt.Color("way:N", scale=_colors(_WAYS), title="parametrisation", legend=_strokes())
    dash = alt.StrokeDash(
        "way:N", title="parametrisation", scale=alt.Scale(domain=list(_WAYS), range=_DASHES), legend=_strokes()
    )
    undefined = "along == 'angle' && turn == 0"  # of the exponential parametrisation
    shown = f"(way_shown == 'all' || datum.way == way_shown) && !({undefined} && datum.k == 1)"
    ways = "datum.k == 0 ? 'polar' : datum.k == 1 ? 'exponential' : 'optimal'"

    # Left: x is the raw parameter minus its value at the optimum.
    base = alt.Chart(alt.sequence(0, 3 * 401, 1, as_="i")).transform_calculate(
        k="floor(datum.i / 401)", x="reach * ((datum.i % 401) / 200 - 1)"
    )
    base = base.transform_calculate(way=ways, tanh="1 - 2 / (exp(2 * datum.x) + 1)").transform_filter(shown)
    base = base.transform_calculate(
        nu="along == 'angle' ? nu_star : datum.k == 0 ? nu_star + datum.x : datum.k == 1 ? "
        "pow(nu_star, exp(datum.x)) : (nu_star + datum.tanh) / (1 + nu_star * datum.tanh)",
        theta="along == 'modulus' ? theta_star : datum.k == 0 ? theta_star + datum.x : datum.k == 1 ? "
        "theta_star * exp(datum.x) : theta_star + datum.x * stretch",
    ).transform_filter("datum.nu > 0 && datum.nu < 1 && abs(datum.theta) <= PI")
    base = _with_loss(base, "datum.nu", "datum.theta", "nu_star", "theta_star")
    losses = (
        base.transform_calculate(shown=f"max(datum.loss, {_LOWEST_LOSS})")
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("x:Q", title="raw parameter, distance from the optimum", scale=alt.Scale(nice=False)),
            y=alt.Y("shown:Q", title="loss", scale=alt.Scale(type="log", domain=[_LOWEST_LOSS, 1e4]), axis=_powers()),
            color=color,
            strokeDash=dash,
        )
        .properties(width=265, height=240, title=alt.Title(alt.expr("'loss around |λ*| = ' + format(nu_star, '.4f')")))
    )

    # Right: the last point of each curve is the teacher of the left panel.
    curves = alt.Chart(alt.sequence(0, 3 * 101, 1, as_="i")).transform_calculate(
        k="floor(datum.i / 101)", last="datum.i % 101 == 100"
    )
    curves = curves.transform_calculate(way=ways, m="datum.last ? memory : 0.05 + 2.95 * (datum.i % 101) / 99")
    curves = curves.transform_filter(shown).transform_calculate(nu="1 - pow(10, -datum.m)", length="pow(10, datum.m)")
    curves = curves.transform_calculate(curvature=_curvature("datum.k", "datum.nu", "theta_star"))
    x = alt.X("length:Q", title="memory 1/(1 − |λ*|), steps", scale=alt.Scale(type="log", domain=[1, 1e3]))
    y = alt.Y("curvature:Q", title="curvature", scale=alt.Scale(type="log", domain=[1e-4, 1e13]), axis=_powers())
    lines = (
        curves.transform_filter("!datum.last")
        .mark_line(strokeWidth=2, clip=True)
        .encode(x=x, y=y, color=color, strokeDash=dash)
    )
    here = curves.transform_filter("datum.last")
    points = here.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=color)
    right = (lines + points).properties(width=265, height=240, title="curvature at the optimum")

    return (
        alt.hconcat(losses, right)
        .add_params(
            _slider("memory", 1.5, 0.1, 3, 0.01, "memory of the teacher, log₁₀ 1/(1 − |λ*|)"),
            *_rho_and_normalization(),
            _radio("along", "modulus", ("modulus", "angle"), "learn the"),
            _radio("way_shown", "all", ("all", *_WAYS), "parametrisation"),
            _slider("turn", 0, 0, 1, 0.01, "angle of the teacher, θ*/π"),
            _slider("reach", 1, 0.01, 2, 0.01, "half width of the left picture"),
            alt.param(name="nu_star", expr="1 - pow(10, -memory)"),
            alt.param(name="theta_star", expr="PI * turn"),
            alt.param(name="stretch", expr="(1 - nu_star * nu_star) / (nu_star * sqrt(1 + nu_star * nu_star))"),
            alt.param(
                name="readout",
                expr="'|λ*| = ' + format(nu_star, '.4f') + '. Curvature at the optimum along the ' + along + "
                + " + ".join(
                    f"'{sign} {way} ' + ({undefined if k == 1 else 'false'} ? 'undefined' : "
                    f"format({_curvature(str(k), 'nu_star', 'theta_star')}, '.2~e'))"
                    for k, (sign, way) in enumerate(zip(":,,", _WAYS, strict=True))
                )
                + " + '.'",
            ),
        )
        .properties(
            description="Two charts that follow the controls. Left: loss of one unit that imitates another, against "
            "the distance of its raw parameter from the optimum, one curve a parametrisation. Right: "
            "curvature at the optimum against the teacher's memory, a dot at the present teacher. As "
            "memory grows the polar well narrows to a needle; exponential and optimal parametrisations "
            "keep the well of the modulus wide once inputs are scaled.",
            usermeta={"embedOptions": {"renderer": "canvas", "actions": False}},
        )
    )


def complex_plane() -> alt.HConcatChart:
    r"""A unit's eigenvalue to drag over the disc, with its impulse response, sensitivity and the loss around it.

    Parameters of the chart: the selection ``lam`` with fields ``m`` (decimal logarithm of :math:`1/(1 - |\lambda|)`)
    and ``turn`` (:math:`\theta/\pi`), which follow sliders or the pointer; ``rho``; ``normalized``.

    Returns:
        Chart: the disc and a window of fixed size around the eigenvalue, both coloured by the loss of a student that
        imitates it, over :math:`\mathrm{E}|h|^2`; :math:`\mathrm{Re}\,\gamma\lambda^t` and
        :math:`\mathrm{Re}\,\gamma t\lambda^{t-1}` against t, with their second moments. :math:`\gamma` is 1 or, where
        inputs are scaled, :math:`\sqrt{1 - |\lambda|^2}`; it is held constant in derivatives, as in Figure 2.

    Source: Zucchet and Orvieto (2024), sections 2.2 and 2.3; :func:`rnnlib.theory.one_dimensional_loss`.
    """
    import altair as alt

    lam = alt.selection_point(
        name="lam",
        fields=["m", "turn"],
        value=[{"m": 1, "turn": 0.25}],
        nearest=True,
        toggle=False,
        clear=False,
        on="click, [pointerdown, window:pointerup] > pointermove",
        bind={
            "m": alt.binding_range(min=0.1, max=2, step=0.02, name="memory of λ, log₁₀ 1/(1 − |λ|)"),
            "turn": alt.binding_range(min=-1, max=1, step=0.01, name="angle of λ, θ/π"),
        },
    )
    scale = "(normalized ? 1 - pow(nu_lam, 2) : 1)"  # gamma squared
    moments = [f"({scale} * {moment('nu_lam', 'theta_lam')})" for moment in (_state_variance, _sensitivity)]
    color = alt.Color(
        "shown:Q",
        title="loss / E|h|²",
        scale=alt.Scale(type="log", domain=[1e-4, 1], clamp=True, scheme="viridis"),
        legend=alt.Legend(
            orient="bottom", direction="horizontal", gradientLength=158, values=[1e-4, 1e-3, 1e-2, 0.1, 1], format=".0e"
        ),
    )

    def heat(half: float, cells: int, centre: tuple[str, str]) -> alt.Chart:
        """Squares over a window, coloured by the loss where they lie in the disc."""
        side = 2 * half / cells
        edge = 0.53 * side  # neighbours overlap, so that no seam shows
        chart = alt.Chart(alt.sequence(0, cells * cells, 1, as_="i")).transform_calculate(
            re=f"{centre[0]} + {side} * (datum.i % {cells} + 0.5) - {half}",
            im=f"{centre[1]} + {side} * (floor(datum.i / {cells}) + 0.5) - {half}",
        )
        chart = chart.transform_calculate(nu="sqrt(datum.re * datum.re + datum.im * datum.im)")
        chart = chart.transform_filter("datum.nu < 0.9999").transform_calculate(theta="atan2(datum.im, datum.re)")
        chart = _with_loss(chart, "datum.nu", "datum.theta", "nu_lam", "theta_lam")
        low = f"datum.im - {centre[1]}" if centre[1] != "0" else "datum.im"
        left = f"datum.re - {centre[0]}" if centre[0] != "0" else "datum.re"
        chart = chart.transform_calculate(
            shown=f"pow(10, floor(2 * log(datum.loss / {moments[0]}) / LN10) / 2)", x=left, y=low
        )  # bands
        return chart.transform_calculate(
            x1=f"datum.x - {edge}", x2=f"datum.x + {edge}", y1=f"datum.y - {edge}", y2=f"datum.y + {edge}"
        )

    def axes(half: float, of: str) -> dict:
        scale = alt.Scale(domain=[-half, half], nice=False)
        return {
            "x": alt.X("x1:Q", title=f"Re {of}", scale=scale, axis=alt.Axis(grid=False, tickCount=5)),
            "y": alt.Y("y1:Q", title=f"Im {of}", scale=scale, axis=alt.Axis(grid=False, tickCount=5)),
        }

    squares = {"x2": "x2:Q", "y2": "y2:Q", "color": color}
    disc = heat(1.0, 60, ("0", "0")).mark_rect().encode(**axes(1.0, "λ"), **squares)
    handles = (
        alt.Chart(alt.sequence(0, 20 * 100, 1, as_="i"))
        # Whole numbers divided once: a sum of tenths shows as 0.30000000000000004, and wraps the row of its slider.
        .transform_calculate(m="(1 + floor(datum.i / 100)) / 10", turn="(datum.i % 100 - 49) / 50")
        .transform_calculate(
            x="(1 - pow(10, -datum.m)) * cos(PI * datum.turn)", y="(1 - pow(10, -datum.m)) * sin(PI * datum.turn)"
        )
        .mark_point(opacity=0, size=30)
        .encode(x="x:Q", y="y:Q")
        .add_params(lam)
    )
    place = alt.Chart(alt.sequence(0, 1, 1, as_="i")).transform_calculate(
        x="nu_lam * cos(theta_lam)", y="nu_lam * sin(theta_lam)", zero="0"
    )
    cross = {"shape": "cross", "filled": False, "size": 60, "opacity": 1, "strokeWidth": 1.2}

    def marked(x: str, y: str) -> alt.LayerChart:
        """An open cross that is seen on every colour and hides no basin."""
        layers = [
            place.mark_point(**cross | {"stroke": "black", "strokeWidth": 3}),
            place.mark_point(**cross, stroke="white"),
        ]
        return alt.layer(*(layer.encode(x=alt.X(x), y=alt.Y(y)) for layer in layers))

    marker = marked("x:Q", "y:Q")
    plane = (disc + marker + handles).properties(width=158, height=158, title="drag λ over the disc")

    close = heat(_WINDOW, 45, ("nu_lam * cos(theta_lam)", "nu_lam * sin(theta_lam)"))
    close = close.mark_rect().encode(**axes(_WINDOW, "(λ′ − λ)"), **squares)
    window = (close + marked("zero:Q", "zero:Q")).properties(width=158, height=158, title="loss of a student at λ′")

    steps = alt.Chart(alt.sequence(0, 101, 1, as_="t")).transform_calculate(
        response=f"sqrt({scale}) * pow(nu_lam, datum.t) * cos(datum.t * theta_lam)",
        sensitivity="datum.t == 0 ? 0 : "
        f"sqrt({scale}) * datum.t * pow(nu_lam, datum.t - 1) * cos((datum.t - 1) * theta_lam)",
    )

    def over_time(field: str, symbol: str, reach: float, moment: str, value: str) -> alt.Chart:
        axis = alt.Axis(values=[-reach, 0, reach])
        y = alt.Y(f"{field}:Q", title=symbol, scale=alt.Scale(domain=[-reach, reach]), axis=axis)
        line = steps.mark_line(
            point={"size": 12, "color": style.COLORS["lru"]}, strokeWidth=1, color=style.COLORS["lru"]
        )
        line = line.encode(x=alt.X("t:Q", title="steps since the input, t"), y=y)
        return line.properties(
            width=152, height=60, title=alt.Title(alt.expr(f"'{moment} = ' + format({value}, '.4~s')"))
        )

    traces = alt.vconcat(
        over_time("response", "Re γλᵗ", 1, "E|h|²", moments[0]),
        over_time("sensitivity", "Re γtλᵗ⁻¹", 40, "E|dh/dλ|²", moments[1]),
    )
    return (
        alt.hconcat(plane, window, traces)
        .add_params(
            *_rho_and_normalization(),
            alt.param(name="nu_lam", expr="1 - pow(10, -lam_m)"),
            alt.param(name="theta_lam", expr="PI * lam_turn"),
            alt.param(
                name="readout",
                expr="'|λ| = ' + format(nu_lam, '.4f') + ', angle ' + format(lam_turn, '.2f') + ' π. E|h|² = ' + "
                f"format({moments[0]}, '.4~s') + ', E|dh/dλ|² = ' + format({moments[1]}, '.4~s') + '.'",
            ),
        )
        .properties(
            description="Three charts that follow an eigenvalue lambda, set by sliders or dragged over the first. "
            "First: the unit disc, coloured by the loss of a student at each point that imitates lambda. "
            "Second: the same in a window of fixed size around lambda. Third: real parts of the impulse "
            "response and of its derivative against time. As lambda nears the circle the response lasts "
            "longer, its derivative grows much more, and the region of low loss shrinks to a point.",
            usermeta={"embedOptions": {"renderer": "canvas", "actions": False}},
        )
    )


def quadratic_paths() -> dict[tuple[str, str, int], np.ndarray]:
    """What three optimisers do on a bowl whose steep direction is an axis or a diagonal.

    The bowl has curvatures 1,000 and 1; each run starts with the same loss in both directions.

    Returns:
        For each landscape (``"dense"``: turned by 45 degrees, ``"diagonal"``), optimiser and index of the rate
        :math:`10^{-3}, 10^{-2.75}, ..., 1`: the parameters, array ``(steps + 1, 2)``, up to the step before one leaves
        [-10, 10] if the run diverges.
    """
    paths = {}
    for landscape_, degrees in _LANDSCAPES.items():
        H, start = _bowl(np.radians(degrees))
        for optimizer in _OPTIMIZERS:
            for k, rate in enumerate(10**_RATES):
                paths[landscape_, optimizer, k] = _descend(H, start, optimizer, rate)
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


def _bowl_loss(x: str, y: str, phi: str) -> str:
    steep = f"({x}) * cos({phi}) + ({y}) * sin({phi})"
    flat = f"({y}) * cos({phi}) - ({x}) * sin({phi})"
    return f"0.5 * ({_RATIO} * pow({steep}, 2) + pow({flat}, 2))"


def _loss_of_path(landscape: str, index: str) -> str:
    """The loss at the present step, or that the run has left the picture."""
    runs = list(_LANDSCAPES).index(landscape) * len(_OPTIMIZERS) * len(_RATES)
    row = f"data('paths')[{runs} + {len(_RATES)} * indexof({list(_OPTIMIZERS)}, optimizer) + {index}]"
    loss = _bowl_loss(*(f"{row}.{axis}[step] * {_GRAIN}" for axis in "xy"), str(np.radians(_LANDSCAPES[landscape])))
    below = f"below {_LOWEST_LOSS:.0e}".replace("e-0", "e-")  # there the grain of the path shows
    told = f"({loss} < {_LOWEST_LOSS} ? '{below}' : format({loss}, '.2~e'))"
    return f"(step < length({row}.x) ? {told} : 'diverged')"


def optimizer_paths() -> alt.HConcatChart:
    r"""Optimisers on a bowl whose steep direction is a diagonal of the parameters, or an axis.

    Parameters of the chart: ``optimizer``, ``rate`` (decimal logarithm), ``step`` (how much of the path is shown). The
    paths are those of :func:`quadratic_paths`, stored in the chart; losses are computed from them in the page.

    Returns:
        Chart: both bowls with the paths, and the loss against the step.

    Source: Zucchet and Orvieto (2024), section 3.2.
    """
    import altair as alt

    rows = [
        {"landscape": name, "optimizer": optimizer, "k": k, "x": path.T[0].tolist(), "y": path.T[1].tolist()}
        for (name, optimizer, k), path in (
            (key, (path / _GRAIN).round().astype(int)) for key, path in quadratic_paths().items()
        )
    ]
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
        .transform_calculate(loss=_bowl_loss("datum.x", "datum.y", "datum.phi"))
    )
    square = alt.Scale(domain=[-1.5, 1.5], nice=False)

    def bowl(name: str, degrees: int) -> alt.LayerChart:
        phi = np.radians(degrees)
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
                x=alt.X("x:Q", title="first parameter", scale=square, axis=alt.Axis(grid=False, tickCount=5)),
                y=alt.Y("y:Q", title="second parameter", scale=square, axis=alt.Axis(grid=False, tickCount=5)),
                detail="level:N",
                order="i:Q",
            )
        )
        line = (
            paths.transform_filter(f"datum.landscape == '{name}'")
            .mark_line(point={"size": 14}, strokeWidth=1, clip=True)
            .encode(x="x:Q", y="y:Q", order="t:Q", color=color.legend(None))
        )
        return (contours + line).properties(
            width=155, height=165, title=name + (": turned by 45°" if degrees else ": along an axis")
        )

    losses = (
        paths.transform_calculate(shown=f"max(datum.loss, {_LOWEST_LOSS})")
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("t:Q", title="step", scale=alt.Scale(domain=[0, _STEPS])),
            y=alt.Y("shown:Q", title="loss", scale=alt.Scale(type="log", domain=[_LOWEST_LOSS, 1e3]), axis=_powers()),
            color=color.legend(orient="bottom", title=None),
        )
        .properties(width=155, height=165, title="loss")
    )
    bowls = [bowl(name, degrees) for name, degrees in _LANDSCAPES.items()]
    return (
        alt.hconcat(*bowls, losses, datasets={"paths": rows})
        .resolve_legend(color="independent")
        .add_params(
            _radio("optimizer", "Adam", _OPTIMIZERS, "optimiser"),
            _slider("rate", -1.5, _RATES[0], _RATES[-1], _RATES[1] - _RATES[0], "rate, log₁₀"),
            _slider("step", _STEPS, 0, _STEPS, 1, "steps shown"),
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
            usermeta={"embedOptions": {"renderer": "canvas", "actions": False}},
        )
    )


def _colors(names: tuple[str, ...]) -> alt.Scale:
    import altair as alt

    return alt.Scale(domain=list(names), range=[style.COLORS[name] for name in names])


def _strokes() -> alt.Legend:
    """A legend of lines, dashes included."""
    import altair as alt

    return alt.Legend(orient="top", symbolType="stroke", symbolSize=500)


def _powers() -> alt.Axis:
    """Ticks at powers of ten, written as such."""
    import altair as alt

    return alt.Axis(format=".0e", tickCount=6, grid=False)
