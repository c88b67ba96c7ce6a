"""The one exception a user's mistake raises: a sentence that says what is wrong, where, and what to do."""


class MuseError(Exception):
    """A mistake the reader can mend. Notebooks and the command line show the sentence, not a traceback."""

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: what a notebook prints instead of a stack of frames."""
        return [f"MuseError: {self}"]


def unknown(kind: str, given: object, known: object) -> MuseError:
    """The sentence for a name outside a list, e.g. ``unknown("preset", "tinny", presets)``."""
    return MuseError(f"Unknown {kind} {given!r}: choose one of {', '.join(map(str, known))}.")
