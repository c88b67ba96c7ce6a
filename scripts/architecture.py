"""Writes docs/architecture.md: the map of the package, from its own docstrings, and three walks.

python -m scripts.architecture
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
WALKS = ROOT / "docs" / "walks.md"
LADDER = (
    "results",
    "config",
    "losses",
    "figures",
    "data",
    "foundations",
    "models",
    "baselines",
    "training",
    "generation",
    "unified",
    "evaluation",
    "report",
)
"""Folders from left to right; imports only go left."""


def page() -> str:
    """The whole page."""
    package = ROOT / "muse_core"
    parts = [
        "# Architecture",
        "Made from the package's docstrings by `python -m scripts.architecture`; a test holds it "
        "true.",
        f"`muse_core/`: {_said(package / '__init__.py')}",
        WALKS.read_text().strip(),
        "## Files",
        "### muse_core, its single files",
        _table(sorted(package.glob("*.py"))),
    ]
    for folder in LADDER:
        parts += [f"### {folder}", _said(package / folder / "__init__.py")]
        parts.append(_table(sorted((package / folder).glob("*.py"))))
        for inner in sorted(each for each in (package / folder).iterdir() if each.is_dir()):
            if files := sorted(inner.glob("*.py")):
                parts += [
                    f"#### {folder}/{inner.name}",
                    _said(inner / "__init__.py"),
                    _table(files),
                ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _said(file: Path) -> str:
    """A module's docstring as one paragraph a blank line."""
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _table(files: list[Path]) -> str:
    """File -> the first sentence of its docstring."""
    rows = [
        f"| [{file.stem}](../{file.relative_to(ROOT)}) | {first_sentence(file)} |"
        for file in files
        if file.name != "__init__.py"
    ]
    return "\n".join(["| file | what it is |", "|---|---|", *rows]) if rows else ""


def first_sentence(file: Path) -> str:
    """What a module's docstring says first, as a cell of a table."""
    words = _said(file).split("\n\n")[0]
    return words.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
