"""From words on the command line to notebooks and the values of their parameters."""

import ast
import difflib
import io
import re
import shlex
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.config.overrides import SHORTHANDS, shorthand
from muse_core.errors import MuseError, shown
from muse_core.report.stamps import read_notebook, sources


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    type: str
    default: str
    help: str


def known_parameters(source: Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares, in its own order.

    Read from the syntax tree: papermill's own inspection loses a line whose comment holds "=".

    Raises:
        MuseError: The notebook is no JSON, or its parameters cell no Python.
    """
    notebook = read_notebook(source)
    if not notebook:
        raise MuseError(
            f"The notebook {source} cannot be read as JSON: mend it or take it from git again."
        )
    cells = notebook.get("cells", [])
    tagged = (cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", []))
    text = "".join(next(tagged, {}).get("source", ""))
    try:
        lines = [one for one in ast.parse(text).body if isinstance(one, ast.AnnAssign | ast.Assign)]
    except SyntaxError as error:
        raise MuseError(
            f"The parameters cell of {source.name} is not Python (line {error.lineno}): mend it."
        ) from error
    found = [_parameter(one, _comments(text)) for one in lines]
    return {one.name: one for one in found}


def _comments(text: str) -> dict[int, str]:
    """Line -> the comment on it."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT}


def _parameter(statement: ast.AnnAssign | ast.Assign, comments: dict[int, str]) -> Parameter:
    annotated = isinstance(statement, ast.AnnAssign)
    target = statement.target if annotated else statement.targets[0]
    kind = ast.unparse(statement.annotation) if annotated else ""
    default = ast.unparse(statement.value) if statement.value else ""
    lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    said = " ".join(comments[line] for line in lines if line in comments)
    return Parameter(ast.unparse(target), kind, default, said)


def choose_notebooks(words: list[str]) -> list[Path]:
    """The notebooks that "all", a number, a name or a path stands for, in the pipeline's order.

    Raises:
        MuseError: A word that stands for none.
    """
    available = sources()
    if not available:
        raise MuseError("There is no numbered notebook in the notebooks folder: check MUSE_ROOT.")
    chosen = dict.fromkeys(path for word in words for path in _matching(word, available))
    return sorted(chosen, key=lambda path: (path not in available, path.name))


def _matching(word: str, available: list[Path]) -> list[Path]:
    stem = Path(word).name.removesuffix(".ipynb")
    stem = stem.zfill(2) if stem.isdecimal() else stem
    copies = {path.stem: path for path in paths.notebooks().glob("*.ipynb")}
    if stem in copies and copies[stem] not in available:
        return [copies[stem]]
    found = [
        path for path in available if word == "all" or stem in (path.stem, path.stem.split("_")[0])
    ]
    other = paths.user_path(word)
    if not found and other.suffix == ".ipynb" and other.is_file():
        return [other]
    if found:
        return found
    stems = [path.stem for path in available]
    raise MuseError(
        f"There is no notebook {shown(word)}{_closest(stem, stems)}: "
        f"choose all or one of {', '.join(stems)}."
    )


def check_names(given: dict[str, Any], known: list[str]) -> None:
    """Refuses a name that is no parameter of the notebooks, nor a field of the preset that their
    ``overrides`` may set.

    Raises:
        MuseError: The first such name, with the nearest parameter.
    """
    words = [*known, *(SHORTHANDS if "overrides" in known else ())]
    for name in given:
        if name not in words:
            raise MuseError(
                f"There is no parameter {shown(name)}{_closest(name, words)}: "
                f"the parameters are {', '.join(known)}."
            )


def values_for(known: dict[str, Parameter], given: dict[str, Any]) -> dict[str, Any]:
    """What a notebook gets: its own parameters, and fields of the preset as ``overrides``."""
    values = {
        name: parse_value(each, known[name].type) for name, each in given.items() if name in known
    }
    fields = [(shorthand(name), each) for name, each in given.items() if name not in known]
    pairs = [shlex.quote(f"{path}={each}") for path, each in fields if path]
    if pairs and "overrides" in known:
        values["overrides"] = " ".join([*filter(None, [values.get("overrides")]), *pairs])
    return values


def parameter_values(notebook: Path, given: dict[str, Any]) -> dict[str, Any]:
    """All values of a notebook as papermill would set them. Raises MuseError for unknown names."""
    known = known_parameters(notebook)
    check_names(given, list(known))
    defaults = {name: ast.literal_eval(one.default) for name, one in known.items()}
    return defaults | values_for(known, given)


def _closest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_value(text: Any, type_name: str = "") -> Any:
    """A value typed on the command line; what a notebook declares as ``str`` stays a text.

    Unlike plain YAML, "1e-4" is a number, and "yes", "on" or "2026-01-01" stay texts.
    """
    if not isinstance(text, str) or type_name == "str":
        return text
    word = text.strip()
    if word.lower() in _NAMED:
        return _NAMED[word.lower()]
    if re.fullmatch(_NUMBER, word):
        return ast.literal_eval(word)
    return _collection(word) if word.startswith(("[", "{")) else text


_NAMED = {"true": True, "false": False, "none": None, "null": None}
_NUMBER = r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"


def _collection(word: str) -> Any:
    from muse_core.config.safe_yaml import Unreadable, read_yaml

    try:
        return read_yaml(word)
    except Unreadable as error:
        raise MuseError(
            f"The value {shown(word)} is no list or mapping: write it as '[1, 2]' or '{{a: 1}}'."
        ) from error
