"""Give stored results of older versions the checksum of their record: python tools/seal.py [FOLDER].

A record is sealed once everything else about it fits its experiment: name, hash, definition and the checksums of its
tables. Results of experiments that rnnlib does not know are left alone.
"""

import argparse
import json
import sys
from pathlib import Path

from rnnlib.lab import experiments
from rnnlib.lab.experiments import store


def seal(folder: Path) -> list[str]:
    """Seal the records in a folder that have no checksum; return their names.

    Raises:
        ResultError: one does not fit its experiment; it stays as it was.
    """
    done = []
    for experiment in experiments.EXPERIMENTS.values():
        path = folder / f"{experiment.name}.json"
        if not path.exists() or "sha256" in (record := json.loads(path.read_text(encoding="utf-8"))):
            continue
        before = path.read_bytes()
        store.write_text(path, store.sealed(record))
        try:
            for name in record["files"]:
                table = name.removeprefix(experiment.name).removesuffix(".csv").removeprefix(".") or "runs"
                experiments.load(experiment, table, folder=folder)
        except Exception:
            path.write_bytes(before)
            raise
        done.append(experiment.name)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=store.PACKAGED, help="default: the package's results")
    try:
        done = seal(parser.parse_args().folder)
    except experiments.ResultError as error:
        sys.exit(f"make: {error}")
    print(f"sealed: {', '.join(done) or 'nothing, all have their checksums'}")


if __name__ == "__main__":
    main()
