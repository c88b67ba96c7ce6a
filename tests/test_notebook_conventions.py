"""What every notebook keeps to, so that papermill, nbval and a reader find the same things in the
same places.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from .committed_notebooks import committed, files, unstripped

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
FILES = [NOTEBOOKS / name for name in files(NOTEBOOKS) if not Path(name).name[0].isupper()]
LIGHT = sys.stdlib_module_names | {"IPython"}
"""What may be imported before muse_core: neither brings OpenMP, whose threads muse_core tells how
to wait."""
INSTALL = """import os
from importlib.util import find_spec

if find_spec("muse_core") is None:  # as on Colab
    name, at, place = os.environ.get("MUSE_SOURCE", "muse-workspace").partition(" @ ")
    %pip install --quiet "{name}[notebooks,train]{at}{place}\""""
"""The first code cell of every numbered notebook."""


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, without the one that installs."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if "install" not in cell.metadata.get("tags", [])]


def parameters(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]


def headings(notebook: NotebookNode) -> list[str]:
    """The text of every markdown heading, and of every bold lead such as ``**Needs**``."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        first or second
        for first, second in re.findall(r"^#+ +(.+)$|^\W*\*\*(.+?)\*\*", prose, re.MULTILINE)
    ]


def tree(cell: NotebookNode) -> ast.Module:
    """The cell's syntax, without IPython's ``%magic`` and ``!shell`` lines."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE))


def imported(notebook: NotebookNode) -> Iterator[str]:
    """Top names of the imports, in the order in which the cells run them."""
    for statement in (each for cell in code(notebook) for each in tree(cell).body):
        if isinstance(statement, ast.Import):
            yield from (alias.name.split(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield str(statement.module).split(".")[0]


def is_literal(node: ast.expr | None) -> bool:
    try:
        ast.literal_eval(node)
        return node is not None
    except ValueError:
        return False


def is_random(name: str) -> bool:
    """nbformat's and JupyterLab's own ids: 8 hexadecimal digits, or a UUID."""
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?", name)) and bool(
        re.search(r"\d", name)
    )


def where(wrong: Callable[[NotebookNode], object]) -> dict[str, object]:
    """Name of a notebook -> what ``wrong`` finds in it, of those where it finds something."""
    assert FILES
    found = {path.stem: wrong(nbformat.read(path, as_version=4)) for path in FILES}
    return {name: finding for name, finding in found.items() if finding}


def test_they_are_valid_whatever_they_were_saved_with() -> None:
    def wrong(notebook: NotebookNode) -> object:
        for cell in code(notebook):
            cell.outputs, cell.execution_count = [], None
        nbformat.validate(notebook)

    assert not where(wrong)


def test_what_is_committed_is_stripped_and_runs_on_any_python_kernel(tmp_path: Path) -> None:
    texts = committed(NOTEBOOKS)
    assert len(texts) > 5 and not unstripped(texts, tmp_path)
    for name, text in texts.items():
        kernel = nbformat.reads(text, as_version=4).metadata.get("kernelspec", {})
        assert kernel.get("name", "python3") == "python3", name


def test_they_open_with_a_title_say_what_they_need_and_check_themselves() -> None:
    def wrong(notebook: NotebookNode) -> object:
        found = " ".join(f"<{heading}" for heading in headings(notebook))
        titled = re.match(r"# \S", notebook.cells[0].source)
        return not (titled and "Needs" in found and "<Checks" in found)

    assert not where(wrong)


def test_one_parameters_cell_which_is_the_first_code_cell() -> None:
    assert not where(lambda notebook: parameters(notebook) != code(notebook)[:1])


def test_numbered_ones_install_what_is_missing_first_and_all_alike() -> None:
    def wrong(notebook: NotebookNode) -> object:
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        tagged = [cell for cell in cells if "install" in cell.metadata.get("tags", [])]
        return tagged != cells[:1] or tagged[0].source != INSTALL

    numbered = {path.stem for path in FILES if path.stem[0].isdigit()}
    assert numbered and not numbered & where(wrong).keys()
    others = {path.stem for path in FILES} - numbered
    assert others <= where(wrong).keys()


@pytest.mark.parametrize(
    ("source", "required"),
    [
        ("", "muse-workspace[notebooks,train]"),
        ("checkout/dist/muse.whl", "checkout/dist/muse.whl[notebooks,train]"),
        (
            "muse-workspace @ git+https://a.b/c",
            "muse-workspace[notebooks,train] @ git+https://a.b/c",
        ),
    ],
)
def test_the_installation_runs_where_muse_core_is_missing_and_nowhere_else(
    source: str, required: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In IPython itself, with pip's magic noting what it is asked for."""
    from IPython.core.interactiveshell import InteractiveShell

    shell, asked = InteractiveShell(), []
    shell.register_magic_function(asked.append, magic_name="pip")
    if source:
        monkeypatch.setenv("MUSE_SOURCE", source)
    assert shell.run_cell(INSTALL).success and not asked
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert shell.run_cell(INSTALL).success
    assert asked == [f'install --quiet "{required}"']


def test_parameters_are_literals_typed_and_commented() -> None:
    def wrong(notebook: NotebookNode) -> list[str]:
        (cell,) = parameters(notebook)
        tokens = list(tokenize.generate_tokens(io.StringIO(cell.source).readline))
        comments = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
        return [
            f"{ast.unparse(statement)}: write `name: type = literal  # meaning`"
            for statement in ast.parse(cell.source).body
            if not isinstance(statement, ast.AnnAssign)
            or not is_literal(statement.value)
            or not comments & {*range(statement.lineno, (statement.end_lineno or 0) + 1)}
        ]

    assert not where(wrong)


def test_a_heading_is_followed_by_a_sentence() -> None:
    """Except for those that every notebook has."""
    usual = {"# Checks", "# Save", "# What we learned"}

    def wrong(notebook: NotebookNode) -> list[str]:
        prose = [cell.source.strip() for cell in notebook.cells if cell.cell_type == "markdown"]
        return [text for text in prose if re.fullmatch("#+ .*", text) and text[1:] not in usual]

    assert not where(wrong)


def test_they_define_no_class() -> None:
    """A function may help reading; what needs a class belongs in muse_core, where it is tested."""
    assert not where(
        lambda notebook: [
            node.name
            for cell in code(notebook)
            for node in ast.walk(tree(cell))
            if isinstance(node, ast.ClassDef)
        ]
    )


def test_muse_core_is_imported_before_anything_that_brings_openmp() -> None:
    def wrong(notebook: NotebookNode) -> object:
        first = next((name for name in imported(notebook) if name not in LIGHT), "muse_core")
        return first if first != "muse_core" else ""

    assert not where(wrong)


def test_cell_ids_are_unique_words() -> None:
    def wrong(notebook: NotebookNode) -> list[str]:
        ids = [cell.id for cell in notebook.cells]
        words = re.compile(r"[a-z]{2,}[a-z0-9]*([-_][a-z0-9]+)*")
        strange = [name for name in ids if not words.fullmatch(name) or is_random(name)]
        return strange + [name for name in set(ids) if ids.count(name) > 1]

    assert not where(wrong)


def test_what_a_suggestion_changes_is_read_by_a_cell() -> None:
    def names(place: ast.AST, kind: type) -> set[str]:
        found = (each for each in ast.walk(place) if isinstance(each, ast.Name))
        return {each.id for each in found if isinstance(each.ctx, kind)}

    def wrong(notebook: NotebookNode) -> object:
        prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        suggested = map(ast.parse, re.findall(r"```python\n(.*?)```", prose, re.DOTALL))
        read = set().union(*(names(tree(cell), ast.Load) for cell in code(notebook)))
        return [names(each, ast.Store) - names(each, ast.Load) - read for each in suggested]

    assert {stem: found for stem, found in where(wrong).items() if any(found)} == {}
