"""Today's recurrences: how state and sensitivity grow with memory, with gates that move."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt

from .controls import EMBED, decades, powers, radio, select, slider
from .expressions import Complex

MODELS = (  # of the field guide; where a model has two starts, both
    "complex RNN",
    "LRU",
    "S4D, memory from the step",
    "S4D, memory from A",
    "Mamba-1",
    "Mamba-3, memory from the step",
    "Mamba-3, memory from A, softplus",
    "Mamba-3, memory from A, heavy tail",
    "RG-LRU (Griffin)",
    "GRU, Chrono start",
    "GLA",
    "HGRN",
)
DIRECTIONS = ("modulus", "angle", "step")
_GATED = [name for name in MODELS if name.startswith(("Mamba", "RG-LRU", "GRU", "GLA", "HGRN"))]
_TURNED = [name for name in MODELS if name.startswith(("complex", "LRU", "S4D", "Mamba-3", "HGRN"))]
_STEPPED = [name for name in MODELS if name.startswith(("S4D", "Mamba", "RG-LRU"))]
_LOWEST, _HIGHEST, _POINTS = 0.5, 4.0, 43  # decimal logarithms of memory, and how many on a curve
_SPAN = 0.05  # decades on either side, for the power at one memory
_SIZE, _BELOW = {"width": 162, "height": 200}, {"orient": "bottom", "direction": "vertical"}
_MOMENTS = {"state E|h|²": ("h2", "#0173b2", [1, 0]), "sensitivity E|dh|²": ("s2", "#d55e00", [7, 3])}
_BARE = "white, still"  # what the curves are compared with

Definitions = list[tuple[str, str]]
Reference = Callable[[str], str]


def models() -> alt.HConcatChart:
    r"""State and sensitivity of models of the field guide against memory, with correlated inputs and moving gates.

    Parameters of the chart: ``model``; ``along`` (which raw parameter the sensitivity is to), ``memory`` (decimal
    logarithm of :math:`1 / (1 - |\lambda|)` with still gates), ``rho``, ``sigma``: at each step a fair coin moves the
    logit of the gate up or down by it. Models whose gates stand still have no noise. Units and starts are those of
    :mod:`rnnlib.lab.field_guide`; moments are the state's.

    Returns:
        Chart: the impulse response over its first value, its mean and its root mean square over the coin; both moments
        against memory; the power of memory with which they grow. Grey: the same for white inputs and still gates.

    Source: not in the paper; :func:`rnnlib.theory.random_gate_moments`.
    """
    here = [alt.param(name=f"{name}_{at}", expr=expression) for at in range(3) for name, expression in _at(at)]
    return (
        alt.hconcat(_responses(), _curves(), _powers())
        .resolve_scale(color="independent", strokeDash="independent")
        .add_params(
            select("model", MODELS[0], MODELS, "parametrisation"),
            radio("along", "modulus", DIRECTIONS, "sensitivity to the"),
            slider("memory", 2, _LOWEST, _HIGHEST, 0.05, "memory, log₁₀ 1/(1 − |λ|)"),
            slider("rho", 0, 0, 0.99, 0.01, "input correlation ρ"),
            slider("sigma", 0, 0, 2, 0.05, "gate noise: the logit moves by ±σ"),
            alt.param(name="kind", expr=f"indexof({list(MODELS)}, model)"),
            alt.param(name="direction", expr=f"indexof({list(DIRECTIONS)}, along)"),
            alt.param(name="gated", expr=f"indexof({_GATED}, model) >= 0"),
            alt.param(name="shake", expr="gated ? sigma : 0"),
            alt.param(name="learned", expr=_is_learned()),
            *here,
            alt.param(name="readout", expr=_readout()),
        )
        .properties(
            description="Three charts that follow the controls. First: the impulse response of a model over 200 steps. "
            "Second: second moments of its state and of its sensitivity to a raw parameter against memory, on "
            "logarithmic axes, with the same for white inputs and still gates in grey. Third: their powers of memory. "
            "The modulus of the complex RNN has the power 3, that of all others the power of their state or less; "
            "angles have 2 more than the state, unless a step that carries the memory multiplies them.",
            usermeta=EMBED,
        )
    )


def _is_learned() -> str:
    return f"direction == 0 || indexof(direction == 1 ? {_TURNED} : {_STEPPED}, model) >= 0"


def _readout() -> str:
    def of(symbol: str, quantity: str) -> str:
        power = f"(log({quantity}_2 / {quantity}_0) / ({2 * _SPAN} * LN10))"
        return f"'{symbol} = ' + format({quantity}_1, '.2~e') + ', power ' + format({power}, '.2f')"

    missing = "'; it has no ' + along + '.'"
    still = "(gated || sigma == 0 ? '' : ' Its gates stand still.')"
    first, second = (of(symbol, quantity) for symbol, quantity in (("E|h|²", "h2"), ("; E|dh|²", "s2")))
    memory = "format(pow(10, memory), '.3~r')"
    return f"model + ' at memory ' + {memory} + ': ' + {first} + (learned ? {second} + '.' : {missing}) + {still}"


def _at(place: int) -> Definitions:
    """Definitions at the memory of the slider (1), or a little below (0) and above (2)."""
    start = ("M", f"pow(10, memory + {(place - 1) * _SPAN})")
    return [start, *_moments(lambda name: name if name in ("rho", "shake") else f"{name}_{place}")]


def _rows(count: int) -> alt.Chart:
    """A row a memory, first as the controls say and then for white inputs and still gates."""
    chart = alt.Chart(alt.sequence(0, 2 * count, 1, as_="i")).transform_calculate(
        bare=f"datum.i >= {count}", m=f"{_LOWEST} + {_HIGHEST - _LOWEST} * (datum.i % {count}) / {count - 1}"
    )
    chart = chart.transform_calculate(M="pow(10, datum.m)", rho="datum.bare ? 0 : rho", shake="datum.bare ? 0 : shake")
    for name, expression in _moments(lambda name: f"datum.{name}"):
        chart = chart.transform_calculate(**{name: expression})
    return chart


def _softplus(x: str) -> str:
    return f"log(1 + exp({x}))"


def _sigmoid(x: str) -> str:
    return f"(1 / (1 + exp(-({x}))))"


def _of_model(values: dict[str, str], otherwise: str = "0") -> str:
    """The expression of the model that is chosen; models by how their names begin."""
    cases = [
        (index, next((value for begin, value in values.items() if name.startswith(begin)), None))
        for index, name in enumerate(MODELS)
    ]
    return " : ".join(f"kind == {index} ? ({value})" for index, value in cases if value) + f" : {otherwise}"


def _by_direction(modulus: str, angle: str, step: str) -> str:
    return f"(direction == 0 ? ({modulus}) : direction == 1 ? ({angle}) : ({step}))"


def _unit(ref: Reference, sign: str) -> Definitions:
    """One side of the coin: rate R and angle of log lambda, derivative L of log lambda, scale s and its derivative e.

    Starts are those of the field guide, as functions of the decay rate D of one step.
    """
    D, R, angle, x = (ref(name) for name in ("D", f"R{sign}", "theta", f"x{sign}"))
    Lr, Li, nu, step = (ref(name) for name in (f"Lr{sign}", f"Li{sign}", f"nu{sign}", "step"))
    g = f"{'-' if sign == 'm' else ''}{ref('shake')}"
    heavy = f"({x} >= 0 ? 1 + {x} : 1 / (1 - {x}))"
    A = Complex(f"(-{R} / {step})", f"({angle} / {step})")
    lam = Complex.polar(nu, angle)
    L = Complex(Lr, Li)
    s = Complex(ref(f"sr{sign}"), ref(f"si{sign}"))
    held = lam.plus(Complex("-1", "0")).over(A)  # zero-order hold
    dA = Complex(_by_direction(A.real, "0", "0"), _by_direction("0", "1", "0"))
    followed = (lam * L).plus((s * dA).negative()).over(A)
    return [
        (
            f"x{sign}",  # the logit
            _of_model(
                {
                    "Mamba-1": f"log(exp({D}) - 1) + {g}",
                    "Mamba-3, memory from the step": g,
                    "Mamba-3, memory from A, softplus": f"log(exp({D} / {step}) - 1) + {g}",
                    "Mamba-3, memory from A, heavy tail": f"1 - {step} / {D} + {g}",
                    "RG-LRU": g,
                    "GRU": f"log({ref('M')} - 1) + {g}",
                    "GLA": f"-log(exp(16 * {D}) - 1) + {g}",
                    "HGRN": g,
                }
            ),
        ),
        (
            f"R{sign}",
            _of_model(
                {
                    "Mamba-1": _softplus(x),
                    "Mamba-3, memory from A, heavy tail": f"{step} * {heavy}",
                    "Mamba-3": f"{step} * {_softplus(x)}",
                    "RG-LRU": f"2 * {D} * {_sigmoid(x)}",
                    "GRU": _softplus(f"-({x})"),
                    "GLA": f"{_softplus(f'-({x})')} / 16",
                    "HGRN": f"-log(1 - 2 / {ref('M')} * {_sigmoid(f'-({x})')})",
                },
                D,
            ),
        ),
        (f"nu{sign}", f"exp(-{R})"),
        (
            f"Lr{sign}",
            _by_direction(
                _of_model(
                    {
                        "complex": f"1 / {nu}",
                        "Mamba-3, memory from A, heavy tail": f"-{step} * ({x} >= 0 ? 1 : pow({heavy}, 2))",
                        "Mamba-3": f"-{step} * {_sigmoid(x)}",
                        "RG-LRU": f"-8 * {_sigmoid(x)} * (1 - exp(-{D} / 4))",
                        "GRU": _sigmoid(f"-({x})"),
                        "GLA": f"{_sigmoid(f'-({x})')} / 16",
                        "HGRN": f"(1 - {nu}) * {_sigmoid(x)} / {nu}",
                    },
                    f"-{R}",
                ),
                "0",
                _of_model(
                    {
                        "S4D": f"-{R}",
                        "Mamba-1": f"-{_sigmoid(x)}",
                        "Mamba-3": f"-{R} / {step} * (1 - exp(-{step}))",
                        "RG-LRU": f"-{R} * {_sigmoid(f'-({x})')}",
                    }
                ),
            ),
        ),
        (
            f"Li{sign}",
            _by_direction(
                "0",
                _of_model(
                    {
                        "complex": "1",
                        "LRU": "1",
                        "S4D": step,
                        "Mamba-3": f"{step} * PI * {_SLOPE}",
                        "HGRN": "1",
                    }
                ),
                _of_model({"S4D": angle, "Mamba-3": f"{angle} / {step} * (1 - exp(-{step}))"}),
            ),
        ),
        (
            f"sr{sign}",
            _of_model(
                {
                    "LRU": f"sqrt(1 - pow({nu}, 2))",
                    "S4D": held.real,
                    "Mamba-1": R,
                    "Mamba-3": step,
                    "RG-LRU": f"0.5 * sqrt(1 - pow({nu}, 2))",
                    "GRU": f"1 - {nu}",
                    "HGRN": f"1 - {nu}",
                },
                "1",
            ),
        ),
        (f"si{sign}", _of_model({"S4D": held.imag})),
        (
            f"er{sign}",
            _of_model(
                {
                    "S4D": followed.real,
                    "Mamba-1": _by_direction("0", "0", _sigmoid(x)),
                    "Mamba-3": _by_direction("0", "0", f"1 - exp(-{step})"),
                    "RG-LRU": f"-0.25 * pow({nu}, 2) * {Lr} / {s.real}",
                    "GRU": f"-{nu} * {Lr}",
                    "HGRN": f"-{nu} * {Lr}",
                }
            ),
        ),
        (f"ei{sign}", _of_model({"S4D": followed.imag})),
        *_named(f"l{sign}", lam),
        *_named(f"d{sign}", lam * L),
    ]


_SLOPE = 0.7864477329659274  # of tanh at 1/2
_TANH = 0.46211715726000973


def _named(name: str, z: Complex) -> Definitions:
    return [(f"{name}r", z.real), (f"{name}i", z.imag)]


def _moments(ref: Reference) -> Definitions:
    """theory.random_gate_moments of two equally likely draws."""

    def draws(name: str) -> list[Complex]:
        return [Complex(ref(f"{name}r{sign}"), ref(f"{name}i{sign}")) for sign in "pm"]

    def value(name: str) -> Complex:
        return Complex(ref(f"{name}r"), ref(f"{name}i"))

    def mean(name: str, parts: list[Complex]) -> Definitions:
        return _named(name, parts[0].plus(parts[1]).times("0.5"))

    lam, d = ([value(f"{name}{sign}") for sign in "pm"] for name in ("l", "d"))
    s, e = draws("s"), draws("e")
    rho, below = ref("rho"), f"(1 - {ref('qr')})"
    definitions = [
        ("D", f"-log(1 - 1 / {ref('M')})"),
        (
            "step",
            _of_model(
                {
                    "S4D, memory from the step": f"2 * {ref('D')}",
                    "Mamba-3, memory from the step": f"{ref('D')} / LN2",
                },
                "0.1",
            ),
        ),
        (
            "theta",
            _of_model(
                {
                    "complex": "1",
                    "LRU": "1",
                    "S4D": f"3 * PI * {ref('step')}",
                    "Mamba-3": f"PI * {_TANH} * {ref('step')}",
                    "HGRN": "1",
                }
            ),
        ),
        *_unit(ref, "p"),
        *_unit(ref, "m"),
    ]
    pairs = {"q": (lam, lam), "ss": (s, s), "dd": (d, d), "ee": (e, e)}  # E[conj(a) b]
    pairs |= {"sl": (s, lam), "ld": (lam, d), "se": (s, e), "sd": (s, d), "le": (lam, e), "de": (d, e)}
    for name, parts in {"L": lam, "S": s, "d": d, "e": e}.items():
        definitions += mean(f"{name}mean", parts)
    for name, (a, b) in pairs.items():
        definitions += mean(name, [x.conjugate() * y for x, y in zip(a, b, strict=True)])
    slow = value("Lmean").one_minus(rho)
    hx, dhx, C = value("hx"), value("dhx"), value("C")
    h2 = ref("h2")
    definitions += _named("hx", value("Smean").times(rho).over(slow))
    definitions += _named("dhx", (value("dmean") * hx).plus(value("emean")).times(rho).over(slow))
    definitions += [("h2", f"({ref('ssr')} + 2 * ({(value('sl') * hx).real})) / {below}")]
    cross = value("ld").times(h2).plus(value("se")).plus(value("sl") * dhx).plus(value("sd") * hx)
    cross = cross.plus(hx.conjugate() * value("le"))
    definitions += _named("C", cross.times(f"(1 / {below})"))
    products = [(value(name).conjugate() * factor).real for name, factor in (("ld", C), ("le", dhx), ("de", hx))]
    return [
        *definitions,
        ("s2", f"({ref('ddr')} * {h2} + {ref('eer')} + 2 * ({' + '.join(products)})) / {below}"),
    ]


def _responses() -> alt.Chart:
    """Means over the coin of the response and, its square root, of the squared response."""
    lam = "sqrt(pow(Lmeanr_1, 2) + pow(Lmeani_1, 2))"
    turn = "atan2(Lmeani_1, Lmeanr_1)"
    steps = (
        alt.Chart(alt.sequence(0, 2 * 201, 1, as_="i"))
        .transform_calculate(t="datum.i % 201", which="datum.i < 201 ? 'mean' : 'root mean square'")
        .transform_calculate(
            response=f"datum.i < 201 ? pow({lam}, datum.t) * cos({turn} * datum.t) : pow(qr_1, datum.t / 2)"
        )
    )
    color = alt.Scale(domain=["mean", "root mean square"], range=["#029e73", "#949494"])
    return (
        steps.mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("t:Q", title="steps since the input"),
            y=alt.Y("response:Q", title="response over the first", scale=alt.Scale(domain=[-1, 1])),
            color=alt.Color("which:N", scale=color, title=None, legend=alt.Legend(**_BELOW)),
        )
        .properties(title="impulse response", **_SIZE)
    )


def _long(count: int) -> alt.Chart:
    """The curves, one row a moment; those of parameters that the model does not have are left out."""
    rows = _rows(count).transform_fold(["h2", "s2"], as_=["which", "moment"])
    return rows.transform_filter("datum.which == 'h2' || learned").transform_calculate(
        line="datum.bare ? '" + _BARE + "' : " + _name_of("datum.which"), curve="datum.which + datum.bare"
    )


def _name_of(which: str) -> str:
    names = list(_MOMENTS)
    return f"({which} == 'h2' ? '{names[0]}' : '{names[1]}')"


def _look(legend: bool) -> dict:
    names = [*_MOMENTS, _BARE]
    shown = alt.Legend(symbolType="stroke", symbolSize=500, **_BELOW) if legend else None
    colors = alt.Scale(domain=names, range=[*(color for _, color, _ in _MOMENTS.values()), "#b0b0b0"])
    dashes = alt.Scale(domain=names, range=[*(dash for *_, dash in _MOMENTS.values()), [2, 2]])
    return {
        "color": alt.Color("line:N", scale=colors, title=None, legend=shown),
        "strokeDash": alt.StrokeDash("line:N", scale=dashes, title=None, legend=shown),
        "detail": "curve:N",
    }


def _memory() -> alt.X:
    scale = alt.Scale(type="log", domain=[10**_LOWEST, 10**_HIGHEST], nice=False)
    return alt.X("M:Q", title="memory 1/(1 − |λ|), steps", scale=scale, axis=decades(1, 4))


def _curves() -> alt.LayerChart:
    y = alt.Y("moment:Q", title=None, scale=alt.Scale(type="log", domain=[1e-7, 1e15]), axis=powers())
    lines = _long(_POINTS).mark_line(strokeWidth=2, clip=True).encode(x=_memory(), y=y, **_look(legend=True))
    here = (
        alt.Chart(alt.sequence(0, 2, 1, as_="i"))
        .transform_filter("datum.i == 0 || learned")
        .transform_calculate(
            M="M_1", which="datum.i == 0 ? 'h2' : 's2'", moment="datum.i == 0 ? h2_1 : s2_1", here="true"
        )
        .transform_calculate(line=_name_of("datum.which"))
    )
    points = here.mark_point(filled=True, size=50, opacity=1).encode(
        x=_memory(), y=y, color=_look(legend=True)["color"]
    )
    return (lines + points).properties(title="second moments", **_SIZE)


def _powers() -> alt.Chart:
    """Slopes of the curves, from each memory to the next."""
    slopes = (
        _long(_POINTS)
        .transform_window(before="lag(moment)", frame=[None, 0], groupby=["curve"], sort=[{"field": "M"}])
        .transform_filter("datum.before !== null")
        .transform_calculate(
            power=f"log(datum.moment / datum.before) / ({(_HIGHEST - _LOWEST) / (_POINTS - 1)} * LN10)"
        )
    )
    y = alt.Y("power:Q", title=None, scale=alt.Scale(domain=[-3, 5]), axis=alt.Axis(tickCount=8))
    return (
        slopes.mark_line(strokeWidth=2, clip=True)
        .encode(x=_memory(), y=y, **_look(legend=False))
        .properties(title="power of memory", **_SIZE)
    )
