"""Command line of the laboratory: ``python -m rnnlib list | run | show | claims``, or ``rnnlib`` once installed."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from . import experiments
from .experiments import need
from .experiments.columns import meanings
from .text import SourceError

if TYPE_CHECKING:
    from .experiments import Experiment, Measurement


#: The training runs of the paper itself: one teacher, ten seeds.
PAPER = ("fig03a", "fig03b", "fig04cd", "fig09cd", "fig10d", "fig11")


def execute(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status, 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m rnnlib", description="The experiments and the claims.")
    parser.add_argument("--version", action="version", version=f"rnnlib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments, and which results are stored")
    run = commands.add_parser("run", help="run experiments and store their results; goes on where it was interrupted")
    run.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="experiments; or paper: its grid; beyond: those beyond it; all: others too",
    )
    run.add_argument("--scale", choices=experiments.SCALES, help="default: RNNLIB_SCALE, else book")
    run.add_argument("--device", default="cpu", choices=experiments.DEVICES, help="default: cpu; auto: a GPU if any")
    run.add_argument("--workers", type=_positive, help="processes (default: one a core to train, one to measure)")
    run.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler whose workers train; others measure here")
    run.add_argument("--to", type=_folder, metavar="FOLDER", help="of results (default: among the user's data)")
    show = commands.add_parser(
        "show", help="a stored result: what ran, when and where, what its columns hold, and its table"
    )
    show.add_argument("name", metavar="NAME")
    show.add_argument("--scale", choices=experiments.SCALES, default="paper")
    show.add_argument("--from", dest="folder", type=_folder, metavar="FOLDER", help="where it lies, as given to --to")
    claims = commands.add_parser("claims", help="measure the paper's claims")
    claims.add_argument("names", nargs="*", metavar="NAME", help="figures, or single claims; none means all")
    claims.add_argument("--json", action="store_true", help="all that is known of each, for programs")
    options = parser.parse_args(arguments)
    try:
        need("pandas", "scipy", "tqdm", extra="lab")
        {"list": _list, "run": _run, "show": _show, "claims": _claims}[options.command](options)
        sys.stdout.flush()
    except (experiments.RequirementError, experiments.ResultError, SourceError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of the folder is empty")
    return Path(text)


def _list(options: argparse.Namespace) -> None:
    width = max(map(len, experiments.names()))
    for name, experiment in experiments.EXPERIMENTS.items():
        try:
            experiments.load(name)
            state = "stored"
        except experiments.ResultError:
            state = "not stored"
        print(f"{name:{width}} {experiment.workload:>10}  {state:10}  {experiment.title}")


def _run(options: argparse.Namespace) -> None:
    scale = options.scale or experiments.scale_from_environment()
    settings = {"device": options.device, "workers": options.workers, "dask": options.dask, "folder": options.to}
    if options.names == ["beyond"] and scale == "paper":  # hours: each table is stored as soon as it is done
        chosen = [[experiment] for experiment in experiments.BEYOND if not _is_stored(experiment, scale, options.to)]
    elif options.names == ["all"]:
        chosen = [_all(scale)]
    else:
        names = PAPER if options.names == ["paper"] else options.names
        chosen = [experiments.BEYOND if names == ["beyond"] else [_experiment(name) for name in names]]
    for together in chosen:
        frames = experiments.run_all(together, scale, **settings)
        for name, frame in frames.items():
            diverged = f", {int(frame['diverged'].sum())} diverged" if "diverged" in frame else ""
            print(f"{name}: {len(frame)} {'runs' if diverged else 'rows'}{diverged}", flush=True)
    print(f"stored in {options.to or experiments.store.folder_of(scale)}")


def _is_stored(experiment: Experiment, scale: str, folder: Path | None) -> bool:
    """Whether a run would only repeat what lies where it would store it."""
    try:
        experiments.load(experiment, scale=scale, folder=folder or experiments.store.folder_of(scale))
    except experiments.ResultError:
        return False
    return True


def _experiment(name: str) -> Experiment | Measurement:
    """An experiment by name; who names a figure that is none learns where its page is and what it has run."""
    known = experiments.names()
    if name not in known and re.fullmatch(r"fig(0[1-9]|1[0-5])", name):
        own = ", ".join(other for other in known if other.startswith(name))
        what = f"run one of its experiments: {own}" if own else "it computes what it shows and has no experiment to run"
        raise ValueError(
            f"{name} is a figure; open its notebook in the repository, notebooks/figures/{name}.ipynb; {what}"
        )
    return experiments.get(name)


def _all(scale: str) -> list[Experiment | Measurement]:
    """Every experiment of the paper's figures that exists at a scale, but those whose point is to be slow.

    Trained experiments without a live part have nothing to run at scale book.
    """
    every = [experiments.get(name) for name in experiments.names()]
    trained = [experiment for experiment in every if isinstance(experiment, experiments.Experiment)]
    left_out = [item for item in trained if item.method == "direct" or (scale == "book" and not item.live)]
    return [experiment for experiment in every if experiment not in (*left_out, *experiments.BEYOND)]


def _show(options: argparse.Namespace) -> None:
    frame = experiments.load(_experiment(options.name), scale=options.scale, folder=options.folder)
    definition = frame.attrs["definition"]
    holds = meanings(definition.get("kind", "Experiment"), "runs", [*frame.columns])
    print(json.dumps({**frame.attrs["origin"], "definition": definition, "columns": holds}, indent=1))
    print(frame.to_string(index=False))


def _claims(options: argparse.Namespace) -> None:
    from . import claims  # takes seconds

    frame = claims.evaluate(*options.names)
    if options.json:
        rows = [
            {
                name: value if not isinstance(value, float) or math.isfinite(value) else None
                for name, value in row.items()
            }
            for row in frame.to_dict("records")
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for _, row in frame.iterrows():
        print(f"{row['name']:<88}{row['verdict']:>10}")
        paper = f"; paper: {row['paper']}" if row["paper"] else ""
        decides = f"; would decide: {row['decides']}" if row["decides"] else ""
        for text in (row["claim"], f"{claims.ours(row)}; agrees: {row['accepted']}{paper}{decides}"):
            print(textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="    "))
    counts = claims.tally(frame)
    print(f"\n{'':<40}" + "".join(f"{verdict:>12}" for verdict in counts.columns))
    for kind, row in counts.iterrows():
        print(f"{kind:<40}" + "".join(f"{count:>12}" for count in row))
