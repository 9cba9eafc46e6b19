"""Write down, for each claim, the commit in which its range was first committed (``make bounds``).

A bound counts as set before a result if its commit is older than the result's. Ranges that are on record and unchanged
keep their commit; new and changed ones get the present one, which must have them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "rnnlib" / "lab" / "claims"
RECORD = FOLDER / "bounds.json"


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def main() -> int:
    from rnnlib.lab.claims import CLAIMS, HYPOTHESES

    if git("status", "--porcelain", "--", *map(str, FOLDER.glob("*.py"))):
        print("claims are not committed: commit their ranges first, so that there is a commit to name")
        return 1
    before = json.loads(RECORD.read_text(encoding="utf-8"))
    commit, day = git("log", "-1", "--format=%h %cs", "--", str(FOLDER)).split()
    after = {}
    every = {entry.name: entry for entry in (*CLAIMS, *HYPOTHESES)}
    for _, entry in sorted(every.items()):
        known = before.get(entry.name, {})
        new = {"range": str(entry.accepted), "commit": commit, "day": day}
        after[entry.name] = known if known.get("range") == new["range"] else new
    RECORD.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    changed = sum(after[name] != before.get(name) for name in after)
    print(f"{changed} ranges are new or changed, {len(after) - changed} as before")
    return 0


if __name__ == "__main__":
    sys.exit(main())
