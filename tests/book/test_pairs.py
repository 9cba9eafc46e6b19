"""`make pairs`: whatever is edited in either half of a notebook pair stays, or the pair is left alone and named."""

import copy
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pairs
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

ROOT = Path(__file__).resolve().parents[2]
NAME = "figures/one"
SCRIPT = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A title

# %%
first = 1

# %% tags=["hide-input"]
second = 2


# %%
def third():
    return 3


# %%
fourth = 4
"""


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


class Tree:
    """A folder of notebooks with one pair that agrees, and the edits of a user."""

    def __init__(self, folder: Path):
        self.root = folder / "notebooks"
        self.script, self.notebook = (self.root / f"{NAME}{suffix}" for suffix in (".py", ".ipynb"))
        self.script.parent.mkdir(parents=True)
        self.script.write_text(SCRIPT)
        assert pairs.update(self.root) == []
        assert pairs.problems(self.root) == []

    def commit(self) -> None:
        git(self.root.parent, "init", "-q")
        git(self.root.parent, "add", "-A", "notebooks")
        git(self.root.parent, "commit", "-q", "-m", "both")

    def forget(self) -> None:
        """As in a new clone: nothing is known but what git holds."""
        for path in (self.root.parent / "_build").rglob("*.agreed"):
            path.unlink()

    def in_editor(self, old: str, new: str) -> None:
        text = self.script.read_text()
        assert old in text
        self.script.write_text(text.replace(old, new))

    def in_jupyter(self, edit) -> None:
        """Edit the .ipynb, run it and save, which leaves outputs, counts and what Jupyter knows of the kernel."""
        book = nbformat.read(self.notebook, as_version=4)
        edit(book.cells)
        for count, cell in enumerate(cell for cell in book.cells if cell.cell_type == "code"):
            cell.execution_count = count + 1
            cell.outputs = [nbformat.v4.new_output("stream", text="ran\n")]
            cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00"}
        book.metadata["language_info"] = {"name": "python", "version": "3.13.0"}
        book.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
        nbformat.write(book, self.notebook)

    def sources(self) -> list[str]:
        """The cells of both halves, which must be equal, read by jupytext and nbformat alone."""
        book = nbformat.read(self.notebook, as_version=4)
        halves = [(c.cell_type, c.source.strip("\n")) for c in book.cells]
        assert halves == [(c.cell_type, c.source.strip("\n")) for c in jupytext.read(self.script).cells]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)
        assert pairs.problems(self.root) == []
        return [source for _, source in halves]

    def bytes(self) -> list[bytes]:
        return [self.script.read_bytes(), self.notebook.read_bytes()]

    def saved(self) -> list[Path]:
        return [path for path in (self.root.parent / "_build/pairs").rglob("*") if path.suffix in {".py", ".ipynb"}]


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Tree:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))  # no repository around the temporary folder
    return Tree(tmp_path)


@pytest.fixture(params=["in git", "without git", "in a new clone"])
def agreed(request, tree) -> Tree:
    """What the halves last agreed in is known, in each way in which it can be."""
    if request.param != "without git":
        tree.commit()
    if request.param == "in a new clone":
        tree.forget()
    return tree


def change(cells):
    cells[1].source = "first = 10"


def add(cells):
    cells.insert(2, new_code_cell("added = True"))


def add_at_the_end(cells):
    cells.append(new_markdown_cell("The end."))


def delete(cells):
    del cells[2]


def swap(cells):
    cells[1], cells[2] = cells[2], cells[1]


def split(cells):
    cells[3:4] = [new_code_cell("def third():"), new_code_cell("    return 3")]


def turn_into_markdown(cells):
    cells[1] = new_markdown_cell(cells[1].source)


def add_others(cells):
    cells += [new_raw_cell("raw"), new_code_cell("%matplotlib inline"), new_code_cell("%%bash\nls"), new_code_cell("")]


JUPYTER_EDITS = [change, add, add_at_the_end, delete, swap, split, turn_into_markdown, add_others]


@pytest.mark.parametrize("edit", JUPYTER_EDITS)
def test_an_edit_in_jupyter_reaches_the_script(agreed, edit):
    wanted = copy.deepcopy(nbformat.read(agreed.notebook, as_version=4).cells)
    edit(wanted)
    agreed.in_jupyter(edit)
    assert pairs.update(agreed.root) == []
    assert agreed.sources() == [cell.source for cell in wanted]
    assert agreed.script.read_text().startswith(SCRIPT[: SCRIPT.index("# %%")])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("first = 1", "first = 10"),
        ("# %%\nfirst = 1", "# %%\nadded = True\n\n# %%\nfirst = 1"),
        ("# %%\nfirst = 1\n\n", ""),
        ("# # A title", "# # A title\n# and words"),
    ],
)
def test_an_edit_of_the_script_reaches_the_notebook(agreed, old, new):
    ids = {cell.source: cell.id for cell in nbformat.read(agreed.notebook, as_version=4).cells}
    agreed.in_editor(old, new)
    assert pairs.update(agreed.root) == []
    assert [cell.source for cell in jupytext.reads(SCRIPT.replace(old, new), "py:percent").cells] == agreed.sources()
    for cell in nbformat.read(agreed.notebook, as_version=4).cells:
        assert ids.get(cell.source, cell.id) == cell.id, "a cell that stays keeps its id"


def test_edits_in_turn_before_any_commit(agreed):
    """The same cell again and again, now here, now there: each time one half is newer."""
    for number in range(10, 16, 2):
        agreed.in_editor("first = ", f"first = {number} + ")
        assert pairs.update(agreed.root) == []
        agreed.in_jupyter(lambda cells, n=number: cells[1].__setitem__("source", f"{cells[1].source} + {n + 1}"))
        assert pairs.update(agreed.root) == []
    assert agreed.sources()[1] == "first = 14 + 12 + 10 + 1 + 11 + 13 + 15"


@pytest.mark.parametrize("edit", JUPYTER_EDITS)
@pytest.mark.parametrize("old", ["fourth = 4", "# # A title"])
def test_edits_of_both_halves_are_left_alone_and_named(agreed, edit, old):
    agreed.in_jupyter(edit)
    agreed.in_editor(old, old + "5")
    before = agreed.bytes()
    (sentence,) = pairs.update(agreed.root)
    assert agreed.bytes() == before
    assert sentence.startswith(f"{NAME}: both halves may hold edits and differ in ")
    assert (old[2:] if old.startswith("#") else old) in sentence


def test_the_sentence_names_the_cells(tree):
    tree.in_jupyter(add)
    tree.in_editor("fourth = 4", "fourth = 5\n\n# %%\nfifth = 5")
    (sentence,) = pairs.update(tree.root)
    assert sentence.endswith(
        "differ in cell 3, only in the .ipynb (code: added = True); cell 5 of the .py, 6 of the .ipynb (code:"
        " fourth = 4); cell 6, only in the .py (code: fifth = 5)"
    )


@pytest.mark.parametrize("keep", [".py", ".ipynb"])
def test_keep_decides_and_saves_the_other_half(agreed, keep):
    agreed.in_jupyter(add)
    agreed.in_editor("fourth = 4", "fourth = 5")
    script, notebook = agreed.bytes()
    assert pairs.update(agreed.root, keep) == []
    assert ("added = True" in agreed.sources()) == (keep == ".ipynb")
    assert ("fourth = 5" in agreed.sources()) == (keep == ".py")
    (saved,) = agreed.saved()
    assert saved.read_bytes() == (notebook if keep == ".py" else script)
    agreed.in_jupyter(change)
    agreed.in_editor("fourth = ", "fourth = 6 + ")
    assert pairs.update(agreed.root, keep) == []
    assert len(agreed.saved()) == 2, "the first copy stays"


@pytest.mark.parametrize("keep", [".py", ".ipynb"])
def test_keep_says_nothing_about_a_pair_with_one_edit(agreed, keep):
    agreed.in_jupyter(add)
    assert pairs.update(agreed.root, keep) == []
    assert "added = True" in agreed.sources()
    agreed.in_editor("fourth = 4", "fourth = 5")
    assert pairs.update(agreed.root, keep) == []
    assert {"added = True", "fourth = 5"} <= set(agreed.sources())


@pytest.mark.parametrize("side", ["script", "notebook"])
def test_without_anything_known_no_half_is_overwritten(tree, side):
    tree.forget()
    if side == "script":
        tree.in_editor("fourth = 4", "fourth = 5")
    else:
        tree.in_jupyter(add)
    before = tree.bytes()
    assert len(pairs.update(tree.root)) == 1
    assert tree.bytes() == before


def test_a_reverted_half_is_no_edit_that_outweighs_the_other(tree):
    """Edited in Jupyter, carried over, then git takes the script back: the notebook alone holds the edit."""
    tree.commit()
    tree.in_jupyter(add)
    assert pairs.update(tree.root) == []
    git(tree.root, "checkout", "-q", "--", f"{NAME}.py")
    before = tree.bytes()
    assert len(pairs.update(tree.root)) == 1
    assert tree.bytes() == before


@pytest.mark.parametrize("alone", [".py", ".ipynb"])
def test_a_new_half_gets_the_other(tree, alone):
    new = tree.root / "figures" / f"with a space.v2{alone}"
    if alone == ".py":
        new.write_text(SCRIPT)
    else:
        nbformat.write(nbformat.read(tree.notebook, as_version=4), new)
    assert "is missing" in pairs.problems(tree.root)[0]
    assert pairs.update(tree.root) == []
    assert pairs.problems(tree.root) == []
    other = new.with_name(new.stem + {".py": ".ipynb", ".ipynb": ".py"}[alone])
    assert other.exists()
    assert (tree.root / "figures/with a space.v2.py").read_text().startswith(SCRIPT[: SCRIPT.index("# %%")])


METADATA = {
    "a tag": lambda cell: cell.metadata.update(tags=["hide-input"]),
    "a tag by JupyterLab": lambda cell: cell.metadata.update(tags=["x"], editable=True, slideshow={"slide_type": ""}),
    "alt text": lambda cell: cell.metadata.update(mystnb={"image": {"alt": "A curve that rises."}}),
    "a slide": lambda cell: cell.metadata.update(slideshow={"slide_type": "skip"}),
}


@pytest.mark.parametrize("edit", METADATA.values(), ids=METADATA)
def test_metadata_is_an_edit_like_any_other(agreed, edit):
    agreed.in_jupyter(lambda cells: edit(cells[1]))
    assert pairs.update(agreed.root) == []
    agreed.sources()
    wanted = nbformat.v4.new_code_cell()
    edit(wanted)
    halves = [nbformat.read(agreed.notebook, as_version=4), jupytext.read(agreed.script)]
    for cell in (half.cells[1] for half in halves):
        assert {name: cell.metadata[name] for name in wanted.metadata if name in {"tags", "mystnb"}} == {
            name: value for name, value in wanted.metadata.items() if name in {"tags", "mystnb"}
        }
    agreed.in_jupyter(lambda cells: METADATA["alt text"](cells[4]))
    agreed.in_editor("first = 1", "first = 2")
    assert "metadata of code: fourth = 4" in pairs.update(agreed.root)[0]


def test_a_run_is_no_edit(agreed):
    before = agreed.bytes()
    agreed.in_jupyter(lambda cells: None)
    assert pairs.problems(agreed.root) == [f"{NAME}.ipynb holds outputs or execution counts"]
    assert pairs.update(agreed.root) == []
    assert agreed.bytes() == before


BROKEN = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "empty": lambda path: path.write_bytes(b""),
    "marks of a merge": lambda path: path.write_text("<<<<<<< HEAD\n" + path.read_text()),
    "Latin-1": lambda path: path.write_bytes("caf\xe9".encode("latin-1")),
}


@pytest.mark.parametrize("harm", BROKEN.values(), ids=BROKEN)
def test_a_notebook_that_cannot_be_read_is_named_and_can_be_replaced(agreed, harm):
    harm(agreed.notebook)
    before = agreed.bytes()
    (sentence,) = pairs.update(agreed.root)
    assert sentence.startswith(f"{NAME}: the .ipynb cannot be read as a notebook (")
    assert "\n" not in sentence
    assert agreed.bytes() == before
    assert pairs.problems(agreed.root) == [sentence]
    assert pairs.update(agreed.root, ".ipynb") == [sentence]
    assert pairs.update(agreed.root, ".py") == []
    assert len(agreed.sources()) == 5
    assert agreed.saved()[0].read_bytes() == before[1]


def test_an_emptied_script_does_not_empty_the_notebook(agreed):
    agreed.script.write_text("")
    assert pairs.update(agreed.root) == [f"{NAME}: the .py holds no cells"]
    assert pairs.update(agreed.root, ".ipynb") == []
    assert len(agreed.sources()) == 5


@pytest.mark.parametrize(
    "extra", [{"source": "# %%\nx = 1"}, {"attachments": {"image.png": {"image/png": "AAAA"}}}], ids=["marker", "image"]
)
def test_what_a_script_cannot_hold_is_named(agreed, extra):
    agreed.in_jupyter(lambda cells: cells[0 if "attachments" in extra else 1].update(extra))
    before = agreed.bytes()
    (sentence,) = pairs.update(agreed.root)
    assert f"cell {1 if 'attachments' in extra else 2} " in sentence
    assert "the .py cannot hold" in sentence
    assert agreed.bytes() == before
    assert len(pairs.update(agreed.root, ".ipynb")) == 1
    assert agreed.bytes() == before
    assert pairs.update(agreed.root, ".py") == []
    assert agreed.sources()[1] == "first = 1"


def test_one_pair_that_is_left_alone_does_not_hold_up_the_others(tree):
    other = tree.root / "figures/two.py"
    other.write_text(SCRIPT)
    tree.forget()
    tree.in_jupyter(add)
    assert len(pairs.update(tree.root)) == 1
    assert other.with_suffix(".ipynb").exists()


def test_a_full_disk_leaves_the_old_file(tree, monkeypatch):
    tree.in_editor("fourth = 4", "fourth = 5")
    before = tree.bytes()
    write_text = Path.write_text

    def full(path, *arguments, **keywords):
        write_text(path, "half", encoding="utf-8")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        pairs.update(tree.root)
    assert tree.bytes() == before
    assert sorted(path.name for path in tree.script.parent.iterdir()) == ["one.ipynb", "one.py"]


def test_windows_line_ends_are_no_edits(tree):
    for path, text in zip([tree.script, tree.notebook], tree.bytes(), strict=True):
        path.write_bytes(text.replace(b"\n", b"\r\n"))
    assert pairs.problems(tree.root) == []
    assert pairs.update(tree.root) == []
    tree.in_editor("fourth = 4", "fourth = 5")
    assert pairs.update(tree.root) == []
    assert tree.sources()[4] == "fourth = 5"


def test_a_checkout_with_windows_line_ends(tree, tmp_path):
    tree.commit()
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(tmp_path), "clone")
    clone = Tree.__new__(Tree)
    clone.root = tmp_path / "clone/notebooks"
    clone.script, clone.notebook = (clone.root / f"{NAME}{suffix}" for suffix in (".py", ".ipynb"))
    assert b"\r\n" in clone.script.read_bytes()
    clone.in_jupyter(add)
    assert pairs.update(clone.root) == []
    assert "added = True" in clone.sources()


def test_make_pairs_as_a_user_runs_it(tmp_path):
    """The program with its Makefile: an edit in Jupyter alone, then edits on both sides."""
    for name in ["Makefile", "pyproject.toml", "tools/pairs.py", "tools/halves.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    tree = Tree(tmp_path)
    tree.commit()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "KEEP"))}

    def make(*arguments):
        command = ["make", "-o", ".venv/installed", "pairs", *arguments]
        python = {"VIRTUAL_ENV": sys.prefix, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run(command, cwd=tmp_path, env=environment | python, capture_output=True, text=True)

    tree.in_jupyter(add)
    assert make().returncode == 0
    assert "added = True" in tree.sources()
    tree.in_jupyter(change)
    tree.in_editor("fourth = 4", "fourth = 5")
    before = tree.bytes()
    done = make()
    assert done.returncode != 0
    assert "(code: first = 10)" in done.stderr
    assert "make pairs KEEP=py" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree.bytes() == before
    wrong = make("KEEP=both")
    assert "KEEP is 'both': give py or ipynb" in wrong.stderr
    assert tree.bytes() == before
    done = make("KEEP=ipynb")
    assert done.returncode == 0, done.stderr
    assert "the other is saved as " in done.stdout
    assert tree.sources()[1] == "first = 10"


def test_make_clean_deletes_no_saved_half(tmp_path):
    shutil.copy2(ROOT / "Makefile", tmp_path)
    for name in ["html/index.html", ".jupyter_cache/outputs", "pairs/figures/one.ipynb"]:
        (tmp_path / "_build" / name).parent.mkdir(parents=True)
        (tmp_path / "_build" / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    assert [path.name for path in (tmp_path / "_build").rglob("*")] == ["pairs", "figures", "one.ipynb"]
    shutil.rmtree(tmp_path / "_build")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)


def test_every_order_of_edits_ends_with_both_or_a_refusal(tree):
    """No sequence of one edit and one `make pairs` a side drops what was typed."""
    for order in itertools.permutations(["script", "notebook", "pairs", "pairs"]):
        tree.script.write_text(SCRIPT)
        tree.notebook.unlink(missing_ok=True)
        assert pairs.update(tree.root) == []
        for step in order:
            if step == "script":
                tree.in_editor("fourth = 4", "fourth = 5")
            elif step == "notebook":
                tree.in_jupyter(add)
            else:
                pairs.update(tree.root)
        text = tree.script.read_text() + json.dumps(nbformat.read(tree.notebook, as_version=4))
        assert "added = True" in text, order
        assert "fourth = 5" in text, order


def tab(tree) -> nbformat.NotebookNode:
    """What a tab of JupyterLab holds: the notebook as it was when the tab was opened."""
    return nbformat.read(tree.notebook, as_version=4)


PY_EDITS = {
    "added": ("fourth = 4", "fourth = 4\n\n# %%\nadded_here = 5", "code: added_here = 5"),
    "changed": ("first = 1", "first = 10", "code: first = 1"),
    "deleted": ("# %%\nfirst = 1\n\n", "", "code: first = 1"),
}


@pytest.mark.parametrize(("old", "new", "named"), PY_EDITS.values(), ids=PY_EDITS)
@pytest.mark.parametrize("edit", [add_at_the_end, lambda cells: cells.append(new_code_cell("added_there = 6"))])
def test_a_tab_that_was_opened_before_the_last_run_undoes_no_edit(agreed, old, new, named, edit):
    stale = tab(agreed)
    agreed.in_editor(old, new)
    assert pairs.update(agreed.root) == []
    edit(stale.cells)
    nbformat.write(stale, agreed.notebook)
    before = agreed.bytes()
    (sentence,) = pairs.update(agreed.root)
    assert named in sentence
    assert agreed.bytes() == before
    assert pairs.update(agreed.root, ".ipynb") == []
    assert [path.read_bytes() for path in agreed.saved() if path.suffix == ".py"] == [before[0]]


@pytest.mark.parametrize(("old", "new", "named"), PY_EDITS.values(), ids=PY_EDITS)
def test_a_tab_that_was_opened_two_runs_ago_undoes_no_edit(agreed, old, new, named):
    stale = tab(agreed)
    agreed.in_editor(old, new)
    assert pairs.update(agreed.root) == []
    agreed.in_editor("fourth = 4", "fourth = 40")
    assert pairs.update(agreed.root) == []
    assert pairs.update(agreed.root) == [], "nor does a run that has nothing to do make the tab any newer"
    add(stale.cells)
    nbformat.write(stale, agreed.notebook)
    before = agreed.bytes()
    (sentence,) = pairs.update(agreed.root)
    assert named in sentence
    assert "code: fourth = 4" in sentence
    assert agreed.bytes() == before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("first = 1", "first = 10"), ("first = 10", "something = [else for else_ in entirely]")),
        (("fourth = 4", "fourth = 4\n\n# %%\nadded = True"), ("\n\n# %%\nadded = True", "")),
        (("# %%\nfirst = 1\n\n", ""), ("# # A title", "# # A title\n\n# %%\nfirst = 1")),
    ],
    ids=["rewritten", "deleted", "restored"],
)
def test_a_second_edit_of_the_script_may_undo_the_first(agreed, first, second):
    """The user saved the .py both times, so nothing is unknown to it."""
    agreed.in_editor(*first)
    assert pairs.update(agreed.root) == []
    agreed.in_editor(*second)
    script = agreed.script.read_bytes()
    assert pairs.update(agreed.root) == []
    agreed.sources()
    assert agreed.script.read_bytes() == script


def test_a_second_edit_in_jupyter_may_undo_the_first(agreed):
    agreed.in_jupyter(add)
    assert pairs.update(agreed.root) == []
    agreed.in_jupyter(lambda cells: cells.__delitem__(2))
    assert pairs.update(agreed.root) == []
    assert "added = True" not in agreed.sources()
    agreed.in_jupyter(add)
    assert pairs.update(agreed.root) == []
    agreed.in_jupyter(lambda cells: (cells.pop(2), cells.append(new_code_cell("instead = True"))))
    assert pairs.update(agreed.root) == []
    assert "added = True" not in agreed.sources()
    assert "instead = True" in agreed.sources()


def test_an_editor_that_held_the_old_script_undoes_no_edit(agreed):
    agreed.in_jupyter(add_at_the_end)
    assert pairs.update(agreed.root) == []
    agreed.script.write_text(SCRIPT + "\n\n# %%\nadded_here = 5\n")
    before = agreed.bytes()
    (sentence,) = pairs.update(agreed.root)
    assert "markdown: The end." in sentence
    assert agreed.bytes() == before


@pytest.mark.parametrize("edit", [change, add])
def test_what_is_overwritten_is_in_git_or_saved(agreed, edit):
    agreed.in_editor("fourth = 4", "fourth = 5")
    assert pairs.update(agreed.root) == []
    saved, script = agreed.saved(), agreed.script.read_bytes()
    agreed.in_jupyter(edit)
    assert pairs.update(agreed.root) == []
    assert "fourth = 5" in agreed.sources()
    assert [path.read_bytes() for path in agreed.saved() if path not in saved] == [script]


def test_what_git_holds_is_not_saved(tree):
    tree.commit()
    tree.in_jupyter(add)
    assert pairs.update(tree.root) == []
    assert tree.saved() == []
