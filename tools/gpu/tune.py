"""Which cut is fastest for each class of shape, and the table of the package written from it."""

from __future__ import annotations

import functools
import itertools
import json
import statistics
from typing import TYPE_CHECKING, Any

import torch

from rnnlib.scan import cuda
from rnnlib.scan.cuda import cutting, tuning

from . import compiling, plans
from .checks import BOUNDS, errors
from .timings import cycle, input_sets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .clock import Emit
    from .devices import Gpu

NEAR = 1.4  # times the fastest: a strategy that is slower before it is tuned does not catch up
GAIN = 1.02  # an entry is written where it is this much faster than what "auto" takes without one


def best_rows(record: dict[str, Any]) -> dict[tuple, dict[str, Any]]:
    """The fastest timed strategy of each shape, dtype, form of lam and pass that has not been dropped."""
    best: dict[tuple, dict[str, Any]] = {}
    for row in [*record["scan"], *record.get("tuning", [])]:
        if (
            "plan" in row
            and row["plan"]["strategy"] not in record["dropped"]
            and row["implementation"] != "rnnlib cuda"
        ):
            case = (tuple(row["shape"]), row["dtype"], row["lam"], row["pass"])
            best[case] = min(best.get(case, row), row, key=lambda row: row["median_s"])
    return best


def fastest(record: dict[str, Any]) -> dict[tuple, dict[str, Any]]:
    """What is tuned first."""
    return best_rows(record)


def second(record: dict[str, Any]) -> dict[tuple, dict[str, Any]]:
    """The fastest of the other strategies of each case, where it is near and cut in its own way."""
    cases = {}
    for case, best in best_rows(record).items():
        strategy = best["plan"]["strategy"]
        row = best_rows(record | {"dropped": record["dropped"] | {strategy: "tuned"}}).get(case)
        if row and row["median_s"] < NEAR * best["median_s"] and row["plan"] | {"strategy": strategy} != best["plan"]:
            cases[case] = row
    return cases


def neighbours(plan: dict[str, Any]) -> list[tuning.Choice]:
    """Plans with half and twice the columns, strips and steps, each alone; a thread keeps its columns."""
    choices = []
    for name, factor in itertools.product(("columns", "strips", "steps"), (0.5, 2)):
        changed = plan | {name: int(plan[name] * factor)}
        changed["warps"] = max(1, int(plan["warps"] * (1 if name == "steps" else factor)))
        choices.append(tuning.entry(changed))
    return [choice for choice in choices if choice]


def tune_step(device: Gpu, rows: Callable, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Time the neighbours of a plan of each case; what differs from the plain result is not taken."""
    cases = list(rows(record).items())[: 1 if device.rehearsal else None]
    candidates = [(case, choice) for case, row in cases for choice in neighbours(row["plan"])]
    scans = [
        {"shape": shape, "dtype": dtype, "per_step": lam == "step", "pass": direction, "strategy": choice.strategy}
        | {"choice": vars(choice)}
        for (shape, dtype, lam, direction), choice in candidates
    ]
    if not device.rehearsal:
        compiling.compile_all(scans, record["facts"], emit)
    for case, group in itertools.groupby(candidates, key=lambda pair: pair[0]):
        shape, name, lam, direction = case
        dtype, per_step = getattr(torch, name), lam == "step"
        sets = input_sets(device, shape, dtype, per_step, seed)
        states = [cuda.cuda_scan(*tensors[:3], strategy=dict(cases)[case]["plan"]["strategy"]) for tensors in sets]
        for _, choice in group:
            row = _time(device, case, choice, sets, states, direction)
            if row:
                emit.row("tuning", row)


def _time(device: Gpu, case, choice: tuning.Choice, sets, states, direction: str) -> dict[str, Any] | None:
    def forward(lam, x, h0, grad, h):
        return (cuda.cuda_scan(lam, x, h0, strategy=choice.strategy),)

    def backward(lam, x, h0, grad, h):
        return cuda.cuda_adjoint(lam, h, h0, grad, strategy=choice.strategy)

    work = forward if direction == "forward" else backward
    arguments = [(*tensors, h) for tensors, h in zip(sets, states, strict=True)]
    expected = work(*arguments[0])
    before, tuning.choose = tuning.choose, lambda *_: choice
    try:
        worst = max(errors(work(*arguments[0]), expected))
        times, failed = device.timed({"choice": cycle([functools.partial(work, *each) for each in arguments])})
    finally:
        tuning.choose = before
    if failed or not worst <= 2 * BOUNDS["lam"]:
        print(f"not taken: {case}, {choice}: {failed or worst}")
        return None
    shape, dtype, lam, _ = case
    median = statistics.median(times["choice"].get("graph") or times["choice"]["eager"])
    facts = {"shape": list(shape), "dtype": dtype, "lam": lam, "pass": direction, "implementation": "candidate"}
    return facts | {"plan": vars(choice), "median_s": median}


def entries(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the package's table: of each class what "auto" took, or what gained over it; none where the rules say it."""
    best, choices = best_rows(record), {}
    for auto in record["scan"]:
        case = shape, dtype, lam, direction = tuple(auto["shape"]), auto["dtype"], auto["lam"], auto["pass"]
        if auto["implementation"] != "rnnlib cuda" or case not in best:
            continue
        kind = shape, getattr(torch, dtype), lam == "step", direction == "backward"
        plan = best[case]["plan"] if auto["median_s"] > GAIN * best[case]["median_s"] else auto["plan"]
        choice = tuning.entry(plan)
        if choice and plan != plans.sizes(cutting.cut("auto", *kind, record["facts"]["multiprocessors"])):
            choices[tuning.key(record["facts"]["capability"], *kind)] = vars(choice)
    return choices


def write(record: dict[str, Any], path: Path) -> int:
    """Put this device's entries in place of its old ones; those of other devices stay. Returns how many it has."""
    new, capability = entries(record), record["facts"]["capability"]
    others = {name: vars(choice) for name, choice in tuning.read(path).items() if not name.startswith(f"{capability},")}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted((others | new).items()))
    text = f'{{\n "version": {tuning.VERSION},\n "entries": {{\n{lines}\n }}\n}}\n'
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return len(new)
