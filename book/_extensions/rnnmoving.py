"""``{moving-figure}``: the idea of the book as a flip-book, computed from rnnlib.theory when the site is built.

Left, the loss of a unit that trains its eigenvalue itself; right, of one with scaled inputs and a reparametrised
eigenvalue; from frame to frame the memory grows. Plain SVG and CSS: no script, one still frame for readers who prefer
no motion, and a checkbox that stops it. Sphinx shows pictures that exist and has no directive that computes one.
"""

from __future__ import annotations

import numpy as np
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

MEMORIES = np.geomspace(2, 300, 36)
STILL, HOLD, SECONDS = 18, 9, 0.16  # the frame shown without motion; frames that the last one lasts; of each frame
OFFSETS = np.concatenate([-np.geomspace(1, 1e-4, 36), [0], np.geomspace(1e-4, 1, 36)])
WIDTH, HEIGHT, TOP, GAP = 300, 150, 40, 40
EDGE = 1.25  # the largest loss shown
SILENT = TOP + HEIGHT * (1 - 1 / EDGE)  # where the loss is that of a student without output
LABEL = "trained parameter, from its optimum"


def losses(memory: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """For both pictures: distance of the trained parameter from its optimum, and loss over that of a silent student."""
    from rnnlib import theory

    star = 1 - 1 / memory
    wall = (1 - star) * (1 - np.geomspace(1, 1e-3, 24))  # up to an eigenvalue of 1, where the loss has no bound
    plain = np.union1d(OFFSETS[(star + OFFSETS > -1) & (star + OFFSETS < 1)], wall)
    silent = theory.state_variance(star, 0) / 2
    bent = np.tanh(np.arctanh(star) + OFFSETS)
    return [
        (plain, theory.one_dimensional_loss(star + plain, star) / silent),
        (OFFSETS, theory.one_dimensional_loss(bent, star, normalized=True) / 0.5),
    ]


def path(x: np.ndarray, y: np.ndarray, origin: float) -> str:
    """Points of a curve, cut off exactly at the upper edge: a piece for each stretch below it."""
    cross = np.flatnonzero((y[1:] <= EDGE) != (y[:-1] <= EDGE))  # between this point and the next
    share = (EDGE - y[cross]) / (y[cross + 1] - y[cross])
    at = np.concatenate([x, x[cross] + share * (x[cross + 1] - x[cross])])
    height = np.concatenate([y, np.full(len(cross), EDGE)])
    order = np.argsort(at, kind="stable")
    at, height = at[order], height[order]
    shown = np.flatnonzero(height <= EDGE)
    pieces = np.split(shown, np.flatnonzero(np.diff(shown) > 1) + 1)
    across, down = origin + WIDTH * (at + 1) / 2, TOP + HEIGHT * (1 - height / EDGE)
    return "".join("M" + "L".join(f"{across[k]:.1f} {down[k]:.1f}" for k in piece) for piece in pieces)


def ticks(x: float) -> str:
    """Strokes at the ends and the middle of the horizontal axis, and a line at the loss of a silent student."""
    below = "".join(f"M{x + share * WIDTH:g} {TOP + HEIGHT}v5" for share in (0, 0.5, 1))
    return f"{below}M{x} {SILENT:g}h{WIDTH}"


def frame(i: int, memory: float) -> str:
    origins = [10, 10 + WIDTH + GAP]
    curves = [path(*curve, origin) for curve, origin in zip(losses(memory), origins, strict=True)]
    still = " moving-still" if i == STILL else ""
    last = " moving-last" if i == len(MEMORIES) - 1 else ""
    return (
        f'<g class="moving-frame{still}{last}" style="animation-delay:{i * SECONDS:.2f}s">'
        f'<path class="moving-bad" d="{curves[0]}"/><path class="moving-good" d="{curves[1]}"/>'
        f'<text x="{origins[0] + WIDTH + GAP / 2:g}" y="14" text-anchor="middle">memory: {memory:.0f} steps</text></g>'
    )


def figure() -> str:
    """The whole figure as HTML."""
    frames = "".join(frame(i, memory) for i, memory in enumerate(MEMORIES))
    total = len(MEMORIES) + HOLD
    origins, titles = [10, 10 + WIDTH + GAP], ["the eigenvalue itself is trained", "input scaled, eigenvalue bent"]
    boxes = "".join(
        f'<path class="moving-axes" d="M{x} {TOP}V{TOP + HEIGHT}H{x + WIDTH}{ticks(x)}"/>'
        f'<text x="{x + WIDTH / 2}" y="{TOP - 8}" text-anchor="middle">{title}</text>'
        f'<text x="{x + WIDTH}" y="{SILENT - 5:g}" text-anchor="end">loss of a silent student</text>'
        f'<text x="{x}" y="{TOP + HEIGHT + 19}">−1</text>'
        f'<text x="{x + WIDTH / 2}" y="{TOP + HEIGHT + 19}" text-anchor="middle">{LABEL}</text>'
        f'<text x="{x + WIDTH}" y="{TOP + HEIGHT + 19}" text-anchor="end">+1</text>'
        for x, title in zip(origins, titles, strict=True)
    )
    alt = (
        "Loss of a recurrent unit that imitates another, against its trained parameter, while the memory grows from 2 "
        "to 300 steps. Left, where the eigenvalue itself is trained, the well narrows to a needle beside a wall. "
        "Right, with scaled input and a reparametrised eigenvalue, the well keeps its width."
    )
    rules = (
        f".moving-frame{{animation:moving {total * SECONDS:.2f}s infinite step-end}}"
        f"@keyframes moving{{0%{{opacity:1}}{100 / total:.3f}%{{opacity:0}}}}"
        f".moving-last{{animation-name:moving-end}}"
        f"@keyframes moving-end{{0%{{opacity:1}}{100 * (1 + HOLD) / total:.3f}%{{opacity:0}}}}"
    )
    box = f"0 0 {2 * WIDTH + GAP + 20} {TOP + HEIGHT + 26}"
    return (
        f'<div class="moving"><style>{rules}</style>'
        '<input type="checkbox" id="moving-stop"><label for="moving-stop">stop the motion</label>'
        f'<svg viewBox="{box}" role="img" aria-label="{alt}">{boxes}{frames}</svg></div>'
    )


class MovingFigure(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", figure(), format="html")]


def setup(app) -> dict:
    app.add_directive("moving-figure", MovingFigure)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
