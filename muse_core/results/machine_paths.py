"""Text for other people's eyes: without the folders of this machine."""

import re
from pathlib import Path

from muse_core import paths

_ENCODED = re.compile(r"([A-Za-z0-9+/=]{200,})")
"""Base64, in which anything may look like a path."""


def machine_path(text: str) -> str:
    """The first absolute path that only this machine has, or ""; base64 is not looked at."""
    found = re.search(_pattern("{0,80}"), _ENCODED.sub("", text))
    return found[0] if found else ""


def without_machine_paths(text: str) -> str:
    """The text with paths below the workspace written from there, and of any other path of this
    machine its last name; base64 stays as it is.
    """
    root = re.compile(rf"(?<![\w./-]){re.escape(str(paths.root()))}/")
    pattern = re.compile(_pattern("*"))
    name = lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1]
    parts = _ENCODED.split(text)
    parts[::2] = [pattern.sub(name, root.sub("", part)) for part in parts[::2]]
    return "".join(parts)


def _pattern(length: str) -> str:
    """A path of this machine, and what follows it up to a blank, quote or tag."""
    own = [place for place in (paths.root(), Path.home()) if len(place.parts) > 1]
    places = "|".join(re.escape(str(place)) for place in own)
    others = r"/(?:home|Users)/[\w.-]+/|/(?:root|tmp|var/folders)/|[A-Z]:\\\\?Users\\|file:///"
    begins = r"(?:(?<![\w./\\-])|(?<=\\[nt]))"
    return rf"{begins}(?:(?:{places})(?![\w-])|{others})[^\s\"'<>&]{length}"


def data_words(spec: str) -> str:
    """A data source without its place: "pets:PATH/oxford_pets" is "pets (oxford_pets)"."""
    kind, _, place = spec.partition(":")
    if kind.strip() == "mix":
        parts = re.split(r"((?:^|,)\s*\d[\d./]*\s*\*)", place)
        parts[::2] = map(data_words, parts[::2])
        return "mix of " + "".join(parts).replace(",", ", ")
    return f"{kind.strip()} ({Path(place.strip()).name})" if place else kind.strip()
