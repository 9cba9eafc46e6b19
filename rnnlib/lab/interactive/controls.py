"""Controls, scales and axes that the charts share."""

from __future__ import annotations

import altair as alt

from .. import style

EMBED = {"embedOptions": {"renderer": "canvas", "actions": False}}
LOWEST_LOSS = 1e-5  # a logarithmic axis has no zero


def slider(name: str, value: float, low: float, high: float, step: float, label: str) -> alt.Parameter:
    return alt.param(name=name, value=value, bind=alt.binding_range(min=low, max=high, step=step, name=label))


def checkbox(name: str, value: bool, label: str) -> alt.Parameter:
    return alt.param(name=name, value=value, bind=alt.binding_checkbox(name=label))


def radio(name: str, value: str, options: tuple[str, ...], label: str) -> alt.Parameter:
    return alt.param(name=name, value=value, bind=alt.binding_radio(options=list(options), name=label))


def select(name: str, value: str, options: tuple[str, ...], label: str) -> alt.Parameter:
    return alt.param(name=name, value=value, bind=alt.binding_select(options=list(options), name=label))


def rho_and_normalization() -> list[alt.Parameter]:
    return [
        slider("rho", 0, 0, 1, 0.001, "input correlation ρ"),
        checkbox("normalized", False, "scale inputs by γ = √(1 − |λ|²)"),
    ]


def colors(names: tuple[str, ...]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[style.COLORS[name] for name in names])


def strokes() -> alt.Legend:
    """A legend of lines, dashes included."""
    return alt.Legend(orient="top", symbolType="stroke", symbolSize=500)


def decades(first: int, last: int) -> alt.Axis:
    """Ticks at powers of ten from 10^first to 10^last, and at no number between."""
    return alt.Axis(format="~s", values=[10**k for k in range(first, last + 1)], grid=False)


def powers() -> alt.Axis:
    """Ticks at powers of ten, written as such."""
    return alt.Axis(format=".0e", tickCount=6, grid=False)
