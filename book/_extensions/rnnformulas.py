r"""Formulas side by side stand below each other where the screen has no room for both.

Those in one displayed formula, apart by ``\qquad`` or ``\quad``, become formulas of their own in a row that wraps.
MathJax 3 does not break lines, and notebooks have no other way to write it that GitHub and Colab read.
"""

from __future__ import annotations

import re

from docutils import nodes

BETWEEN = re.compile(r"\\q?quad(?![A-Za-z])")
WHOLE = re.compile(r"\\begin\b|\\tag\b|\\\\|\n\s*\n|&")  # has lines or columns of its own


def apart(formula: str) -> list[str]:
    """The formulas that stand side by side in one; itself if it is alone."""
    formula = formula.strip()
    if WHOLE.search(formula):
        return [formula]
    pieces, depth, start = [], 0, 0
    for match in re.finditer(rf"\\[{{}}]|[{{}}]|{BETWEEN.pattern}", formula):
        if match[0] in "{}":
            depth += 1 if match[0] == "{" else -1
        elif depth == 0 and BETWEEN.match(match[0]):
            pieces.append(formula[start : match.start()])
            start = match.end()
    return [piece.strip() for piece in (*pieces, formula[start:]) if piece.strip()]


def set_apart(app, doctree) -> None:
    for node in list(doctree.findall(nodes.math_block)):
        pieces = apart(node.astext())
        if len(pieces) > 1 and not node.get("label"):
            row = nodes.container(classes=["formulas"])
            for piece in pieces:
                one = node.deepcopy()
                one["ids"], one["names"] = [], []
                one.children = []
                one += nodes.Text(piece)
                row += one
            row["ids"] = node["ids"]
            node.replace_self(row)


def setup(app) -> dict:
    app.connect("doctree-read", set_apart)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
