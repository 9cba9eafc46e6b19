"""The table on the screen: shares of the copy's bandwidth."""

from __future__ import annotations

from typing import Any

TARGET = 0.85  # of the copy's bandwidth, on the least bytes


def shares(record: dict[str, Any]) -> list[str]:
    """A line for each shape, dtype, form of lam and pass; a column for each implementation of this package."""
    ours = [row for row in record["scan"] if row["ours"]]
    names = list(dict.fromkeys(row["implementation"] for row in ours))
    cases: dict[tuple, dict[str, float]] = {}
    for row in ours:
        case = (str(tuple(row["shape"])), row["dtype"], row["lam"], row["pass"])
        cases.setdefault(case, {})[row["implementation"]] = row["of_copy"]
    heads = ["shape", "dtype", "lam per", "pass", *(name.removeprefix("rnnlib cuda, ") for name in names)]
    heads = ["auto" if head == "rnnlib cuda" else head for head in heads]
    lines = [heads]
    for case, values in sorted(cases.items(), key=lambda item: item[0]):
        lines.append([*case, *(_share(values.get(name)) for name in names)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}{' ' if value >= TARGET else '!'}"


def best_peers(record: dict[str, Any]) -> list[str]:
    """How many times faster this package is than the fastest peer, where both were timed."""
    times: dict[tuple, dict[bool, tuple[float, str]]] = {}
    for row in record["scan"]:
        if row["implementation"] != "copy":
            case = (str(tuple(row["shape"])), row["dtype"], row["lam"], row["pass"])
            fastest = times.setdefault(case, {}).setdefault(row["ours"], (row["median_s"], row["implementation"]))
            times[case][row["ours"]] = min(fastest, (row["median_s"], row["implementation"]))
    lines = []
    for (shape, dtype, lam, direction), pair in sorted(times.items()):
        if len(pair) == 2:
            (peer, name), (own, _) = pair[False], pair[True]
            lines.append(f"{shape}, {dtype}, lam per {lam}, {direction}: {peer / own:.2f} times {name}")
    return lines


def text(record: dict[str, Any]) -> str:
    """All that the screen shows at the end."""
    parts = []
    if record["scan"]:
        parts += [f'Share of the copy\'s bandwidth on the least bytes; "!" is less than {TARGET:.0%}.', *shares(record)]
        parts += ["", "Against the fastest peer:", *best_peers(record)] if best_peers(record) else []
    failed = [row["what"] for row in record["checks"] if not row["passed"]]
    parts += [f"failed check: {what}" for what in failed]
    parts += [f"dropped: {name} ({why})" for name, why in record["dropped"].items()]
    reasons: dict[str, list[str]] = {}
    for row in record["steps"]:
        if row["status"] != "done":
            reasons.setdefault(f"{row['status']} ({row['why']})", []).append(row["name"])
    parts += [f"{reason}: {'; '.join(names)}" for reason, names in reasons.items()]
    parts += [f"not timed: {name} ({why})" for name, why in record["missing"].items()]
    return "\n".join(parts)
