"""Beyond the paper: is it diagonality, or is it Adam? The same students with other optimisers, bases, starts, losses.

Six students: a dense RNN from zero and from the teacher's ring, blocks of 2x2, and complex diagonal networks, plain,
with gamma, and as LRU. Each table is one experiment with one optimiser, because a protocol names it. They stand here in
the order in which ``python -m rnnlib run beyond`` runs them, the most important first.

Rates: five a student and optimiser, half a decade apart, in every table, and each with the other parameters' rate the
same and 10 times as large, in maps also 100 times; no optimiser has more to choose from than another, and a run's rate
and ratio are chosen by the other run on its teacher. Rates are centred on the best in runs of 500 to 1,000 steps on
teachers 28 to 31, and for Adam with beta2 = .999 on the best of 32 teachers in ``fig03a_teachers`` and
``fig03b_teachers``. A second look, once: a student of the headline with more than one choice in twenty at an end of its
five rates gets two more beyond that end.
"""

from __future__ import annotations

from dataclasses import replace

from ..training import Protocol
from .definition import Cell, Experiment

_GRID = (1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001, 0.000032, 0.00001, 0.0000032, 0.000001)

_STUDENTS = {
    "dense": Cell("rnn", rates=_GRID, start=0.0),
    "ring": Cell("rnn", rates=_GRID),
    "block": Cell("block", rates=_GRID, start=0.0, heads=(32,)),
    "crnn": Cell("crnn", rates=_GRID),
    "crnn_gamma": Cell("crnn_gamma", rates=_GRID),
    "lru": Cell("lru", rates=_GRID),
}

_DIAGONAL = ("crnn", "crnn_gamma", "lru")

#: The middle of a student's five rates, in the order of the students above.
_CENTRES = {
    "adam": (0.00032, 0.000032, 0.0032, 0.0032, 0.0032, 0.01),
    "adam95": (0.00032, 0.0001, 0.0032, 0.0032, 0.0032, 0.01),
    "muon": (0.001, 0.001, 0.0032, 0.0032, 0.0032, 0.0032),
    "sgd": (0.0032, 0.0032, 0.0032, 0.0032, 0.0032, 0.01),
    "sign": (0.0001, 0.0001, 0.0032, 0.001, 0.001, 0.0032),
    "soap": (0.001, 0.0001, 0.01, 0.0001, 0.00032, 0.01),
}

_PROTOCOLS = {
    "adam": Protocol(),
    "adam95": Protocol(beta2=0.95),
    "muon": Protocol(optimizer="muon", beta2=0.95),  # beta2 of Adam, which moves all but the recurrent parameters
    "sgd": Protocol(optimizer="sgd", clip=1.0),  # without the bound it diverged in trials
    "sign": Protocol(optimizer="sign"),
    "soap": Protocol(optimizer="soap", beta2=0.95),
    "gauss_newton": Protocol(optimizer="gauss_newton", loss="population", steps=300, report=10, double=True),
    "lbfgs": Protocol(optimizer="lbfgs", loss="population", steps=5_000, double=True),
}

_SEEDS = (5, 6)  # no other experiment's at nu0 = .99
_TEACHERS, _FEW = tuple(range(8, 24)), tuple(range(8, 16))
_RATIOS, _MORE_RATIOS = (1.0, 0.1), (1.0, 0.1, 0.01)
_MAP = 2_000  # steps


def _rates(centre: float, shift: int = 0) -> tuple[float, ...]:
    """Five rates around one, or around one that lies ``shift`` half decades above it."""
    middle = _GRID.index(centre) - shift
    return _GRID[middle - 2 : middle + 3]


def _cells(optimizer: str, *names: str, shift: int = 0, **settings) -> tuple[Cell, ...]:
    """Students, all or those named, at the rates of an optimiser."""
    centres = dict(zip(_STUDENTS, _CENTRES[optimizer], strict=True))
    return tuple(
        replace(_STUDENTS[name], rates=_rates(centres[name], shift), **settings) for name in names or _STUDENTS
    )


def _experiment(table: str, optimizer: str, title: str, cells: tuple[Cell, ...], **protocol) -> Experiment:
    """On 16 teachers if it has the paper's number of steps, on eight if it is a map."""
    used = replace(_PROTOCOLS[optimizer], **protocol)
    return Experiment(
        name=f"beyond_{table}_{optimizer}",
        title=f"{title}, {used.label}",
        cells=cells,
        seeds=_SEEDS,
        teacher=_FEW if used.steps == _MAP and used.loss == "minibatch" else _TEACHERS,
        protocol=used,
    )


_RADII = (0.0, 0.5, 0.9, 0.97, 0.99)


def _starts(optimizer: str) -> tuple[Cell, ...]:
    """From zero and from the ring at the same rates: all that either has."""
    dense, ring = _cells(optimizer, "dense", "ring", ratios=_MORE_RATIOS)
    rates = tuple(sorted({*dense.rates, *ring.rates}, reverse=True))
    return tuple(replace(dense, rates=rates, start=radius) for radius in _RADII)


# 1. Architecture times optimiser. The ratio 1/100 is left to maps: it would cost a core an hour and a half, and in the
# runs of 1,000 steps the dense network under Adam gained nothing from it.

HEADLINE = tuple(
    _experiment("headline", name, "six students", _cells(name, ratios=_RATIOS))
    for name in ("adam", "muon", "sgd", "adam95")
)

# Which ends have more than one choice in twenty: found by the tables above.

_ENDS = {
    "adam": {"block": "lower", "lru": "lower"},
    "muon": dict.fromkeys(("ring", "block", "crnn", "crnn_gamma", "lru"), "lower"),
    "sgd": {"lru": "lower"},
    "adam95": dict.fromkeys(("dense", "block", "crnn", "crnn_gamma", "lru"), "upper"),
}


def _beyond_end(cell: Cell, end: str) -> Cell:
    """A student at the two rates that follow its five."""
    first, last = _GRID.index(cell.rates[0]), _GRID.index(cell.rates[-1])
    return replace(cell, rates=_GRID[last + 1 : last + 3] if end == "lower" else _GRID[first - 2 : first])


def _second_look(first: Experiment, ends: dict[str, str]) -> Experiment:
    names = {(cell.student, cell.start): name for name, cell in _STUDENTS.items()}
    cells = {names[cell.student, cell.start]: cell for cell in first.cells}
    return replace(
        first,
        name=f"{first.name}_wider",
        title=f"{first.title}, further rates",
        cells=tuple(_beyond_end(cells[student], end) for student, end in ends.items()),
    )


WIDER = tuple(_second_look(first, ends) for first, ends in zip(HEADLINE, _ENDS.values(), strict=True))

# Two more, because of what their maps showed. SOAP's took four times as long as sign descent's, so it has no blocks and
# one dense start, the best of its map.

FOLLOWED_UP = (
    _experiment("headline", "soap", "four students", _cells("soap", "dense", *_DIAGONAL, ratios=_RATIOS)),
    _experiment("headline", "sign", "six students", _cells("sign", ratios=_RATIOS)),
)

FOLLOWED_UP_WIDER = (
    _second_look(FOLLOWED_UP[0], {"crnn": "lower", "crnn_gamma": "upper", "lru": "upper"}),
    _second_look(FOLLOWED_UP[1], {"block": "lower", "lru": "lower"}),
)

# 1b. What the headline leaves out: dense networks from between 0 and the ring, and A's rate at a hundredth of the
# others', which together took most of the gap in the maps of 2,000 steps.


def _fairer(optimizer: str) -> tuple[Cell, ...]:
    between = tuple(cell for cell in _starts(optimizer) if cell.start in (0.5, 0.9))
    return (*between, *_cells(optimizer, ratios=(0.01,)))


FAIRER = tuple(
    _experiment("fairer", name, "dense networks from other rings, and small rates for A", _fairer(name))
    for name in ("adam", "adam95")
)

# A second look, by the same rule: most dense networks chose the smallest ratio there was.


def _smaller_ratio(first: Experiment, optimizer: str) -> Experiment:
    return replace(
        first,
        name=f"{first.name}_wider",
        title=f"{first.title}, further rates",
        cells=tuple(replace(cell, ratios=(0.001,)) for cell in _starts(optimizer) if cell.start != 0.97),
    )


FAIRER_WIDER = tuple(_smaller_ratio(first, name) for first, name in zip(FAIRER, ("adam", "adam95"), strict=True))

# 6. The population loss: noise or landscape? And the two optimisers that need it, with which a first step's size is all
# that a rate decides: one rate. Gauss-Newton's stopping rule: 300 steps, or the floor, below which losses are equal.


def _one_rate() -> tuple[Cell, ...]:
    return tuple(replace(cell, rates=(1.0,)) for cell in _STUDENTS.values())


POPULATION = tuple(
    _experiment("population", name, "six students on the population loss", cells, loss="population", floor=1e-10)
    for name, cells in (
        ("gauss_newton", _one_rate()),
        ("adam", _cells("adam")),
        ("muon", _cells("muon")),
        ("lbfgs", _one_rate()),
    )
)

# 2. Rotation: eigenvalue parameters in random bases of blocks, of all of them, and of all parameters; rows of the dense
# A; and the dense network that starts as one of blocks, in the basis of the blocks and in a random one.

_BLOCKS = (1, 2, 4, 8, 16, 32, 64, 128)


def _rotated(optimizer: str, sizes: tuple[int, ...] = _BLOCKS) -> tuple[Cell, ...]:
    return (
        *_cells(optimizer, "crnn", "lru", rotations=sizes, ratios=_MORE_RATIOS),
        *_cells(optimizer, "dense", rotations=(1, 64), ratios=_MORE_RATIOS),
    )


ROTATION = (
    _experiment(
        "rotation",
        "adam",
        "random bases of recurrent parameters",
        (*_rotated("adam"), *_cells("adam", "crnn", rotations=(385,)), *_cells("adam", "lru", rotations=(449,))),
        steps=_MAP,
    ),
    _experiment("rotation", "sgd", "random bases of recurrent parameters", _rotated("sgd", (1, 128)), steps=_MAP),
    _experiment(
        "rotation", "muon", "random bases of recurrent parameters", _rotated("muon", (1, 2, 8, 128)), steps=_MAP
    ),
)


def _two_bases(optimizer: str) -> tuple[Cell, ...]:
    (dense,) = _cells(optimizer, "dense", heads=(32,), ratios=_MORE_RATIOS)
    return replace(dense, student="rnn_from_blocks"), replace(dense, student="rnn_from_blocks_turned")


GAUGE = tuple(
    _experiment("gauge", name, "a dense network that starts as blocks, in two bases", _two_bases(name), steps=_MAP)
    for name in ("adam", "muon", "sgd")
)

# 4. What beta2 alone does; and, beside it, the optimisers that are not in the headline.

BETA2 = tuple(
    _experiment(
        f"beta2_{str(beta2)[2:]}", "adam", "six students", _cells(near, ratios=_MORE_RATIOS), steps=_MAP, beta2=beta2
    )
    for beta2, near in ((0.999, "adam"), (0.9, "adam95"), (0.95, "adam95"), (0.99, "adam95"), (0.9999, "adam"))
)
MAPS = tuple(
    _experiment("map", name, "six students", _cells(name, ratios=_MORE_RATIOS), steps=_MAP)
    for name in ("sgd", "sign", "soap", "muon")
)

# 5. The start: smallest modulus of the dense network's eigenvalues.

START = tuple(
    _experiment("start", name, "a dense network from rings of other radii", _starts(name), steps=_MAP)
    for name in ("adam", "muon", "sgd")
)

# A shorter memory, nu0 = .9: rates half a decade higher.

NU90 = tuple(
    _experiment(
        "nu90", name, "six students at nu0 = .9", _cells(name, shift=1, nu0=(0.9,), ratios=_MORE_RATIOS), steps=_MAP
    )
    for name in ("adam", "muon", "sgd")
)

# What else could explain a gap under Adam, each alone.

_BOTH = ("dense", "crnn_gamma")
CONTROLS = tuple(
    _experiment(
        f"with_{name}", "adam", f"dense and diagonal, {title}", _cells("adam", *_BOTH, **cell), steps=_MAP, **protocol
    )
    for name, title, cell, protocol in (
        ("clip", "gradients of norm 1 at most", {}, {"clip": 1.0}),
        ("warmup", "warm-up of 200 steps", {}, {"warmup": 200}),
        ("decay", "weight decay .01", {}, {"decay": 0.01}),
        ("width32", "32 units", {"width": 32}, {}),
        ("width128", "128 units", {"width": 128}, {}),
    )
)

BEYOND = (
    *HEADLINE,
    *WIDER,
    *FOLLOWED_UP,
    *FOLLOWED_UP_WIDER,
    *FAIRER,
    *FAIRER_WIDER,
    *POPULATION,
    *ROTATION,
    *GAUGE,
    *BETA2,
    *MAPS,
    *START,
    *NU90,
    *CONTROLS,
)
