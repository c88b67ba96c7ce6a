"""Counts lines of code, without blank lines, comments and docstrings, folder by folder.

python -m scripts.code_lines [FOLDER]
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
SPEAKING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(source: str) -> int:
    """Lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, SPEAKING) and ast.get_docstring(node) is not None:
            said = node.body[0]
            lines -= set(range(said.lineno, (said.end_lineno or said.lineno) + 1))
    return len(lines)


def main(folder: str = "muse_core") -> None:
    """Print a line a folder, and the sum."""
    counts: Counter[Path] = Counter()
    for file in sorted(Path(folder).rglob("*.py")):
        counts[file.parent] += code_lines(file.read_text())
    for place, count in sorted(counts.items()):
        print(f"{count:7,} {place}")
    print(f"{sum(counts.values()):7,} in all")


if __name__ == "__main__":
    main(*sys.argv[1:])
