"""What every notebook keeps to, so that papermill, nbval and a reader find the same things in the
same places.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import nbformat
import pytest

FILES = sorted((Path(__file__).resolve().parents[1] / "notebooks").rglob("[0-9a-z]*.ipynb"))
NO_NOTEBOOKS = pytest.param(None, marks=pytest.mark.skip(reason="there are no notebooks yet"))


@pytest.fixture(params=FILES or [NO_NOTEBOOKS], ids=lambda path: path.stem if path else "none")
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters(notebook):
    return [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]


def headings(notebook) -> list[str]:
    """The text of every markdown heading, and of every bold lead such as ``**Needs**``."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        first or second
        for first, second in re.findall(r"^#+ +(.+)$|^\W*\*\*(.+?)\*\*", prose, re.MULTILINE)
    ]


def tree(cell) -> ast.Module:
    """The cell's syntax, without IPython's ``%magic`` and ``!shell`` lines."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE))


def is_literal(node: ast.expr | None) -> bool:
    try:
        ast.literal_eval(node)
        return node is not None
    except ValueError:
        return False


def test_it_is_a_valid_notebook_for_any_python_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.get("kernelspec", {}).get("name", "python3") == "python3"


def test_it_opens_with_a_title(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert re.match(r"# \S", notebook.cells[0].source)


def test_it_says_what_it_needs_and_checks_itself(notebook):
    assert any("Needs" in heading for heading in headings(notebook))
    assert any(heading.startswith("Checks") for heading in headings(notebook))


def test_one_parameters_cell_which_is_the_first_code_cell(notebook):
    assert parameters(notebook) == code(notebook)[:1]


def test_parameters_are_literals_typed_and_commented(notebook):
    (cell,) = parameters(notebook)
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(cell.source).readline)
        if token.type == tokenize.COMMENT
    }
    for statement in ast.parse(cell.source).body:
        line = ast.unparse(statement)
        assert isinstance(statement, ast.AnnAssign), (
            f"{line}: write `name: type = literal  # meaning`"
        )
        assert is_literal(statement.value), f"{line}: derived values belong in the next cell"
        assert statement.end_lineno in comments, (
            f"{line}: say what it means in a comment on its line"
        )


def test_it_is_stripped(notebook):
    assert not [
        cell.id for cell in code(notebook) if cell.outputs or cell.execution_count is not None
    ]
    assert "widgets" not in notebook.metadata


def test_it_defines_no_class_and_no_function(notebook):
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        node.name
        for cell in code(notebook)
        for node in ast.walk(tree(cell))
        if isinstance(node, kinds)
    ]
    assert not found, f"{found} belong in muse_core, where they are tested"


def test_cell_ids_are_unique_words(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert not [
        name
        for name in ids
        if not re.fullmatch(r"[a-z]{2,}[a-z0-9]*([-_][a-z0-9]+)*", name) or is_random(name)
    ]


def is_random(name: str) -> bool:
    """nbformat's and JupyterLab's own ids: 8 hexadecimal digits, or a UUID."""
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?", name)) and bool(
        re.search(r"\d", name)
    )
