from scripts.code_lines import code_lines

SOURCE = '''"""Two lines
of docstring."""

import os  # counts


def f(x):
    """Said."""
    # not this
    return (
        x,
        "a string counts",
    )


VALUE = 1
"""A string below a name is no docstring: it counts."""
'''


def test_blank_lines_comments_and_docstrings_do_not_count() -> None:
    assert code_lines(SOURCE) == 1 + 1 + 4 + 2
