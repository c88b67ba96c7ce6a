"""The one exception a user's mistake raises: a sentence that says what is wrong, where, and what to
do.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Named = TypeVar("Named")


class MuseError(Exception):
    """A mistake the reader can mend. Notebooks and the command line show the sentence, not a
    traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: what a notebook prints instead of a stack of frames."""
        return [f"MuseError: {self}"]


MOST_NAMED = 60
"""Names that a sentence lists; a preset's fields and studies' metrics are more."""
LONGEST_VALUE = 100
"""Characters of a wrong value that a sentence repeats."""


def shown(value: object) -> str:
    """A wrong value as a sentence quotes it: its middle is left out where it is long, and it is
    never on two lines.
    """
    try:
        text = repr(value)
    # An integer in it has more digits than Python prints.
    except ValueError:
        text = f"a value of type {type(value).__name__} with more digits than can be shown"
    half = LONGEST_VALUE // 2
    return text if len(text) <= LONGEST_VALUE else f"{text[:half]}…{text[-half:]}"


def unknown(kind: str, given: object, known: Iterable[object]) -> MuseError:
    """The sentence for a name outside a list, e.g. ``unknown("preset", "tinny", presets)``; of a
    long list it names the nearest.
    """
    names = list(map(str, known))
    if len(names) <= MOST_NAMED:
        return MuseError(f"Unknown {kind} {shown(given)}: choose one of {', '.join(names)}.")
    near = difflib.get_close_matches(str(given), names, n=MOST_NAMED // 3, cutoff=0)
    return MuseError(
        f"Unknown {kind} {shown(given)}: choose one of {', '.join(near)}, or of "
        f"{len(names) - len(near)} others."
    )


def chosen(kind: str, name: str, table: Mapping[str, Named]) -> Named:
    """What a name stands for. Raises MuseError, with the sentence of `unknown`, for another one."""
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]
