"""Links between pages, claims and the functions that a notebook calls, computed at each build.

- Each notebook page ends with its claims, the functions of rnnlib that its cells call, and the pages that refer to it.
- Each function of the reference names the pages that call it; the laboratory's arguments and results are folded.
- A claim's name in a table leads to its row on the page of claims, and there to the page that measures it; a name in a
  text, as code, leads to its row.
- ``{claim}`380 (150 to 2,000) <fig03-name>` `` in prose leads from a number to the row that measures it.

sphinx-codeautolink links calls as well, but between builds it forgets those of pages that are no .rst files.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole

log = logging.getLogger(__name__)
REFERENCE, CLAIMS_PAGE = "book/api-", "book/claims"  # the reference is the pages that begin so
EVERYWHERE = ("rnnlib.lab.style.", "rnnlib.lab.claims.")  # every figure calls these
LINK = re.compile(r"\]\(([^)#\s]+\.(?:ipynb|md))(?:#[^)]*)?\)")
CLAIM_NAME = re.compile(r'(<code class="claim">)(((?:fig|sec)\d\d|beyond)-[a-z0-9-]+)(</code>)')
MEASURED_BY = {  # pages by how a claim's name begins; those of a figure are its page's
    "sec22-": "notebooks/figures/fig01",
    "sec23-": "notebooks/theory/04b-every-entry-explodes",
    "beyond-0": "notebooks/beyond/01-is-it-adam",
    "beyond-11": "notebooks/beyond/06-history-or-curvature",
    "beyond-12": "notebooks/beyond/07-plateaus",
    "beyond-13": "notebooks/beyond/08-orthogonality",
    "beyond-14": "notebooks/beyond/09-carry-over",
    "beyond-1": "notebooks/beyond/01-is-it-adam",
    "beyond-angles-": "notebooks/beyond/angles",
    "beyond-bits-": "notebooks/beyond/few-bits",
    "beyond-gates-": "notebooks/beyond/gates-that-move",
    "beyond-guide-": "notebooks/beyond/field-guide",
    "beyond-inputs-": "notebooks/beyond/long-inputs",
    "beyond-poles-": "notebooks/beyond/fixed-eigenvalues",
}


class claim_link(nodes.Inline, nodes.TextElement):
    """Words that lead to a claim's row, until all pages have addresses."""


class ClaimRole(ReferenceRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        from rnnlib.lab.claims import CLAIMS

        statements = {claim.name: claim.statement for claim in CLAIMS}
        if self.target not in statements:
            log.warning("there is no claim %r", self.target, location=self.get_location())
        return [claim_link("", self.title, claim=self.target, reftitle=statements.get(self.target, ""))], []


def page_of(claim: str) -> str:
    """The page that measures a claim."""
    pages = (page for begin, page in MEASURED_BY.items() if claim.startswith(begin))
    return next(pages, f"notebooks/figures/{claim.partition('-')[0]}")


def row_uri(app, docname: str, claim: str) -> str:
    """Where a claim's row is; a book on one page has all of them there."""
    page = "" if app.builder.name == "singlehtml" else app.builder.get_relative_uri(docname, CLAIMS_PAGE)
    return f"{page}#{claim}"


def link_names(app, doctree, docname: str) -> None:
    """Names of claims that stand as code in a notebook's text become links to their rows."""
    literals = list(doctree.findall(nodes.literal))
    if not literals:
        return
    from rnnlib.lab.claims import CLAIMS

    statements = {claim.name: claim.statement for claim in CLAIMS}
    for node in literals:
        name = node.astext()
        if name in statements and not isinstance(node.parent, nodes.reference):
            uri = row_uri(app, docname, name)
            node.replace_self(
                nodes.reference("", "", node.deepcopy(), internal=True, refuri=uri, reftitle=statements[name])
            )


def link_numbers(app, doctree, docname: str) -> None:
    for node in list(doctree.findall(claim_link)):
        uri = row_uri(app, docname, node["claim"])
        node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=uri, reftitle=node["reftitle"]))


def calls(code: str) -> set[str]:
    """Dotted names of rnnlib's objects that a cell's code imports or reaches through an imported module."""
    tree = ast.parse("\n".join(line for line in code.splitlines() if not line.startswith(("%", "!"))))
    aliases, called = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rnnlib":
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name == "rnnlib"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in aliases:
            called.add(aliases[node.id])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            called.add(f"{aliases[node.value.id]}.{node.attr}")
    return called


def read_pages(app, env) -> list[str]:
    """What each page refers to and calls; if any page was read, all are written anew, galleries and tables included."""
    env.rnnlinks_to, env.rnnlinks_calls = defaultdict(set), {}
    for name in sorted(env.found_docs):
        path = Path(env.doc2path(name))
        if path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
            env.rnnlinks_calls[name] = calls("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
        else:
            text = path.read_text(encoding="utf-8")
        for target in LINK.findall(text):
            parts: list[str] = []
            for part in (PurePosixPath(name).parent / target).with_suffix("").parts:
                parts = parts[:-1] if part == ".." else [*parts, part]
            if "/".join(parts) != name:
                env.rnnlinks_to["/".join(parts)].add(name)
    return sorted(env.found_docs) if getattr(env, "rnnlinks_read", True) else []


def note_reading(app, env, docnames) -> None:
    env.rnnlinks_read = bool(docnames)


def page_link(app, source: str, target: str) -> nodes.reference:
    title = app.env.titles[target].deepcopy()
    uri = app.builder.get_relative_uri(source, target)
    return nodes.reference("", "", *title.children, internal=True, refuri=uri)


def line(label: str, links: list[nodes.Node]) -> nodes.paragraph:
    paragraph = nodes.paragraph("", "", nodes.strong("", label), nodes.Text(" "))
    for i, link in enumerate(links):
        paragraph += [nodes.Text(", "), link] if i else [link]
    return paragraph


def documented(env, names: set[str]) -> list[tuple[str, str, str]]:
    """(short name, page, anchor) of those names that the reference describes."""
    objects = env.get_domain("py").objects
    entries = sorted((name, objects[name]) for name in names if name in objects)
    return [(name.removeprefix("rnnlib."), e.docname, e.node_id) for name, e in entries if e.objtype != "module"]


def connections(app, docname: str) -> nodes.container | None:
    env, lines = app.env, []
    if CLAIMS_PAGE in env.found_docs:
        from rnnlib.lab.claims import CLAIMS

        home = re.sub(r"(?<=/fig\d\d)[a-z]$", "", docname)  # fig03b goes on with Figure 3
        figure = home.rsplit("/", 1)[-1]
        names = [claim.name for claim in CLAIMS if claim.figure in (figure, "beyond") and page_of(claim.name) == home]
        if names:
            first, what = (figure, "figure") if names[0].startswith(f"{figure}-") else (names[0], "page")
            uri = app.builder.get_relative_uri(docname, CLAIMS_PAGE) + f"#{first}"
            text = f"{len(names)} of this {what}" if len(names) > 1 else f"one of this {what}"
            lines.append(line("Claims", [nodes.reference("", text, internal=True, refuri=uri)]))
    functions = []
    called = {name for name in env.rnnlinks_calls[docname] if not name.startswith(EVERYWHERE)}
    for label, page, anchor in documented(env, called):
        uri = app.builder.get_relative_uri(docname, page) + f"#{anchor}"
        functions.append(nodes.reference("", "", nodes.literal("", label), internal=True, refuri=uri))
    if functions:
        lines.append(line("Calls", functions))
    backward = sorted(name for name in env.rnnlinks_to[docname] if name in env.titles)
    if backward:
        lines.append(line("Referred to by", [page_link(app, docname, name) for name in backward]))
    return nodes.container("", *lines, classes=["connections"]) if lines else None


def connect(app, doctree, docname: str) -> None:
    if docname in app.env.rnnlinks_calls:
        footer = connections(app, docname)
        section = next(doctree.findall(nodes.section), None)
        if footer is not None and section is not None:
            section += footer
    elif docname.startswith(REFERENCE):
        users = defaultdict(list)
        for page, names in sorted(app.env.rnnlinks_calls.items()):
            for name in names:
                users[name].append(page)
        for description in doctree.findall(addnodes.desc):
            names = [i for signature in description.findall(addnodes.desc_signature) for i in signature["ids"]]
            content = next((child for child in description.children if isinstance(child, addnodes.desc_content)), None)
            if names and content is not None and users.get(names[0]):
                content += used_in([page_link(app, docname, page) for page in users[names[0]]])
        fold_fields(doctree)
    for table in doctree.findall(nodes.raw):
        if table.get("format") == "html" and CLAIM_NAME.search(table.astext()):
            table.replace_self(nodes.raw("", link_claims(app, docname, table.astext()), format="html"))


def used_in(links: list[nodes.Node]) -> list[nodes.Node]:
    """The pages that call a function; more than a line of them are folded."""
    pages = line("Used in", links)
    return fold(f"Used on {len(links)} pages", pages) if len(links) > FEW else [pages]


def fold(summary: str, content: nodes.Node) -> list[nodes.Node]:
    ends = (f"<details><summary>{summary}</summary>", "</details>")
    begin, end = (nodes.raw("", html, format="html") for html in ends)
    return [begin, content, end]


FEW = 4  # links that fit a line or two
FIELD_NAMES = {"Parameters": "arguments", "Variables": "attributes", "Returns": "result", "Raises": "errors"}


def fold_fields(doctree) -> None:
    """Fold arguments, results and errors of the laboratory under their names, so that a long page can be scanned.

    Those of the library stay open: who comes for one wants to call it.
    """
    for fields in list(doctree.findall(nodes.field_list)):
        description = fields.parent.parent
        if not isinstance(description, addnodes.desc):
            continue
        names = [i for signature in description.findall(addnodes.desc_signature) for i in signature["ids"]]
        if not names or not names[0].startswith("rnnlib.lab."):
            continue
        heads = [head.astext() for head in fields.findall(nodes.field_name)]
        shown = ", ".join(FIELD_NAMES.get(head, head.lower()) for head in heads)
        fields.replace_self(fold(shown.capitalize(), fields.deepcopy()))


def link_claims(app, docname: str, html: str) -> str:
    """Names of claims become links: on the page of claims to their figures, elsewhere to it.

    On the page of claims the names in the list of all are anchors, the first of each figure the figure's, too.
    """
    from rnnlib.lab.claims import CLAIMS

    on_its_page = docname == CLAIMS_PAGE or app.builder.name == "singlehtml"
    figures, anchors = set(), on_its_page and 'class="chapters"' in html
    measured = {claim.name for claim in CLAIMS}  # the others have no row yet

    def linked(match: re.Match) -> str:
        begin, name, figure, end = match.groups()
        away = anchors or docname == CLAIMS_PAGE
        page = page_of(name) if away else CLAIMS_PAGE
        if page in app.env.found_docs and name in measured:
            uri = app.builder.get_relative_uri(docname, page) if away else row_uri(app, docname, name)
            text = f'<a href="{uri}">{name}</a>'
        else:
            text = name
        if anchors:
            text = f'<span id="{name}">{text}</span>'
            if figure not in figures:
                text = f'<span id="{figure}">{text}</span>'
            figures.add(figure)
        return f"{begin}{text}{end}"

    return CLAIM_NAME.sub(linked, html)


def setup(app) -> dict:
    app.connect("env-before-read-docs", note_reading)
    app.connect("env-updated", read_pages)
    app.add_node(claim_link)
    app.add_role("claim", ClaimRole())
    app.connect("doctree-resolved", connect)
    app.connect("doctree-resolved", link_numbers)
    app.connect("doctree-resolved", link_names)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
