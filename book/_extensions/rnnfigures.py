"""What a reader can take from a figure: its picture alone, to enlarge, and the stored numbers that it draws, as CSV.

Which numbers these are follows from the notebook's code: the names of stored results that a figure's cell mentions, or
that reach it through variables, functions and the measures of ``rnnlib.lab.claims``. sphinx-design and MyST-NB know
neither data nor a larger copy of a picture.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterable
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx import addnodes

MEASURES = "rnnlib.lab.claims"
COLUMNS = "/book/columns"  # the page that says what the files hold
# Calls whose arguments are names of figures or definitions, or words in a picture: no numbers come from them.
NOT_READ = {"get", "paper_values", "picture", "run", "table", "text"}
FILLS = {"append", "extend", "update"}
Sources = dict[str, frozenset[str]]  # name in the code -> stored results that it depends on, or single files of them


def bound(node: ast.AST) -> set[str]:
    """Names that a function, lambda or comprehension binds for itself, or that a statement's target is made of."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        local = {argument.arg for argument in every if argument}
        return local if isinstance(node, ast.Lambda) else local.union(*map(bound, node.body))
    targets = [one.target for one in node.generators] if hasattr(node, "generators") else [node]
    walked = (one for target in targets for one in ast.walk(target))
    return {one.id for one in walked if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def mentions(node: ast.AST, names: Sources, stored: frozenset[str]) -> frozenset[str]:
    """Stored results, or files of them, on which a piece of code depends, given those of the names in it."""
    if isinstance(node, ast.Constant):
        return stored & {node.value} if isinstance(node.value, str) else frozenset()
    if isinstance(node, ast.Name):
        return names.get(node.id, frozenset()) if isinstance(node.ctx, ast.Load) else frozenset()
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return names.get(f"{node.value.id}.{node.attr}", names.get(node.value.id, frozenset()))
    if isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in NOT_READ:
            return frozenset()
        literal = [one.value for one in node.args if isinstance(one, ast.Constant)]
        if called == "load" and len(literal) == len(node.args) and literal[:1] and literal[0] in stored:
            return frozenset([".".join(map(str, [*literal, "csv"]))])
    if isinstance(node, ast.FunctionDef | ast.Lambda) or hasattr(node, "generators"):
        local = bound(node)
        names = {name: results for name, results in names.items() if name not in local}
    return frozenset().union(*(mentions(child, names, stored) for child in ast.iter_child_nodes(node)))


def filled(statement: ast.stmt) -> list[str]:
    """Names of the containers that ``name[key] = ...`` and ``name.append(...)`` fill."""
    if isinstance(statement, ast.Assign):
        owners = [one.value for one in statement.targets if isinstance(one, ast.Subscript)]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        method = statement.value.func
        owners = [method.value] if isinstance(method, ast.Attribute) and method.attr in FILLS else []
    else:
        owners = []
    return [one.id for one in owners if isinstance(one, ast.Name)]


def imported(statement: ast.stmt, root: Path, stored: frozenset[str]) -> Sources:
    """What an import of the claims' measures brings along."""
    found: Sources = {}
    if not isinstance(statement, ast.ImportFrom) or not (statement.module or "").startswith(MEASURES):
        return found
    for alias in statement.names:
        name = alias.asname or alias.name
        if statement.module == MEASURES:  # a module of measures, or a function of the registry, which is no file
            path = root / MEASURES.replace(".", "/") / f"{alias.name}.py"
            measures = of_module(path, stored) if path.is_file() else {}
            found |= {f"{name}.{function}": results for function, results in measures.items()}
        else:
            measures = of_module(root / f"{statement.module.replace('.', '/')}.py", stored)
            found[name] = measures.get(alias.name, frozenset())
    return found


def follow(body: list[ast.stmt], names: Sources, root: Path, stored: frozenset[str]) -> frozenset[str]:
    """Stored results that statements depend on; ``names`` learns what each variable and function does."""
    used: frozenset[str] = frozenset()
    for statement in body:
        names |= imported(statement, root, stored)
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names[statement.name] = mentions(statement, names, stored)
            continue  # what it depends on is drawn where it is called
        if isinstance(statement, ast.If) and any(getattr(n, "value", "") == "paper" for n in ast.walk(statement.test)):
            continue  # computes results anew, which the cell may not draw
        blocks = [getattr(statement, block, []) for block in ("body", "orelse", "finalbody")]
        heads = [one for one in ast.iter_child_nodes(statement) if not isinstance(one, ast.stmt)]
        results = frozenset().union(*(mentions(head, names, stored) for head in heads))
        for head in heads:  # targets of assignments and loops, and `with ... as name`
            for name in bound(head):
                names[name] = results
        for name in filled(statement):
            names[name] = names.get(name, frozenset()) | results
        if not (isinstance(statement, ast.Assign) and not any(isinstance(n, ast.Call) for n in ast.walk(statement))):
            used |= results  # a constant is drawn where it is used
        used = used.union(*(follow(block, names, root, stored) for block in blocks))
    return used


def parse(source: str) -> list[ast.stmt]:
    return ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))).body


@functools.cache
def of_module(path: Path, stored: frozenset[str]) -> Sources:
    names: Sources = {}
    follow(parse(path.read_text(encoding="utf-8")), names, path.parents[3], stored)
    return names


def drawn(cells: Iterable, root: Path, stored: frozenset[str]) -> dict[str, frozenset[str]]:
    """Stored results that each named figure of a notebook draws.

    Args:
        cells: of the notebook, code and others, as nbformat reads them.
        root: the repository.
        stored: names of the results that there are.

    Returns:
        From the figure's name to names in ``stored``, or of single files where the code names the table that it loads;
        none for a figure that is computed where it stands.
    """
    names: Sources = {}
    found = {}
    for cell in cells:
        if cell.cell_type == "code":
            results = follow(parse(cell.source), names, root, stored)
            if figure := cell.metadata.get("mystnb", {}).get("figure", {}).get("name"):
                found[figure] = frozenset() if figure.endswith("-live") else results  # students trained in the notebook
    return found


def tables(root: Path) -> dict[str, list[str]]:
    """Names of the stored results, and the CSV files of each."""
    records = sorted((root / "rnnlib" / "lab" / "results").glob("*.json"))
    read = (json.loads(path.read_text(encoding="utf-8")) for path in records)
    return {record["name"]: sorted(record["files"]) for record in read if record["name"] != "bench"}


def offer_numbers(app, doctree) -> None:
    """Under each figure that draws stored results, links to their files."""
    path, root = Path(app.env.doc2path(app.env.docname)), Path(app.srcdir)
    if path.suffix != ".ipynb":
        return
    files = tables(root)
    figures = drawn(nbformat.read(path, as_version=4).cells, root, frozenset(files))
    for figure in list(doctree.findall(nodes.figure)):
        results = sorted(set().union(*(figures.get(name, ()) for name in figure["names"])))
        if not results:
            continue
        paragraph = nodes.paragraph("", "Numbers drawn: ", classes=["numbers"])
        for i, file in enumerate(sorted({file for result in results for file in files.get(result, [result])})):
            link = addnodes.download_reference("", file, reftarget=f"/rnnlib/lab/results/{file}")
            paragraph += [nodes.Text(", "), link] if i else [link]
        page = {"refdomain": "std", "reftype": "doc", "reftarget": COLUMNS, "refdoc": app.env.docname}
        what = addnodes.pending_xref("", nodes.inline("", "columns"), refexplicit=True, refwarn=True, **page)
        paragraph += [nodes.Text(" ("), what, nodes.Text(")")]
        for result in results:  # a result that gets another table has this page read again
            app.env.note_dependency(str(root / f"rnnlib/lab/results/{result.partition('.')[0]}.json"))
        figure.parent.insert(figure.parent.index(figure) + 1, paragraph)


def link_pictures(app, doctree, docname: str) -> None:
    """Each figure's picture becomes a link to its own file, which a phone enlarges and a desk shows whole."""
    if app.builder.name != "html":
        return
    folder = "../" * docname.count("/") + app.builder.imagedir
    for figure in doctree.findall(nodes.figure):
        image = next(figure.findall(nodes.image), None)
        if image is None or isinstance(image.parent, nodes.reference):
            continue
        file = app.env.images.get(image.get("candidates", {}).get("*", image["uri"]))
        if file is not None:
            link = nodes.reference("", "", image.deepcopy(), internal=True, refuri=f"{folder}/{file[1]}")
            link["reftitle"] = "Enlarge"
            image.replace_self(link)


def setup(app) -> dict:
    app.connect("doctree-read", offer_numbers, priority=400)  # before Sphinx collects the files to download
    app.connect("doctree-resolved", link_pictures, priority=600)  # pictures of other pages stand in by then
    return {"version": "1", "env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
