"""`Notes`: what a source was given and does not use, by kind: how many, and how to mend it."""

import os
import re
from dataclasses import dataclass, field

from muse_core.data.text_files import readable


@dataclass
class Notes:
    """Adds up; `lines` are what `Source.notes` holds, and no line is nothing left out.

    Args:
        found: (what, how to mend it) -> (how many, the first).
    """

    found: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def add(self, what: str, first: str, mend: str, count: int = 1) -> None:
        """One more of a kind, or ``count`` more.

        Args:
            what: a noun and its attributes, in the singular: "image without a mask".
            first: which it is.
            mend: what makes it used, as an order.
        """
        what, first = readable(what), readable(first)[:200]
        if count:
            before, kept = self.found.get((what, mend), (0, first))
            self.found[what, mend] = (before + count, kept)

    def include(self, other: "Notes") -> None:
        """What other notes hold, after these."""
        for (what, mend), (count, first) in other.found.items():
            self.add(what, first, mend, count)

    def lines(self) -> tuple[str, ...]:
        """ "3 images without a mask, the first is images/7.jpg: draw one or delete it"."""
        return tuple(
            f"{count:,} {_counted(what, count)}{', the first is' if count > 1 else ':'} "
            f"{first}{':' if count > 1 else ';'} {mend}"
            for (what, mend), (count, first) in self.found.items()
        )


def kind_of(name: str) -> str:
    """A suffix in lower case, where it names a kind of files; that of "frame.0001" does not."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if re.fullmatch(r"\.[a-z][a-z0-9]{0,7}", suffix) else "no usual suffix"


def _counted(what: str, count: int) -> str:
    noun, space, rest = what.partition(" ")
    return f"{noun}{'s' if count > 1 else ''}{space}{rest}"
