"""GenEval: do drawn images hold the objects, numbers, colours and places that their prompts name?
(Ghosh et al. 2023, arXiv 2310.11513)

The official layout is read and written: a file of prompts, a JSON object a line with ``tag``,
``prompt``, ``include`` and perhaps ``exclude``; and images in ``00000/samples/00000.png`` with the
prompt's line in ``00000/metadata.jsonl``, as the official scorer takes them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from muse_core.errors import MuseError, shown
from muse_core.results.records import whole_file, write_png
from muse_core.unified.official_files import parsed, read_official, whole_number, words

TASKS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
POSITIONS = ("left of", "right of", "above", "below")
BOXES, FAR_ENOUGH = 0.1, 0.5
"""Of two boxes' sides, and of the way between their centres: the official scorer's constants."""
METADATA, SAMPLES = "metadata.jsonl", "samples"


@dataclass(frozen=True)
class Wanted:
    """Objects of one class: at least ``count`` of them, ``colour`` and ``position`` where named;
    ``position``: where they are, seen from the objects of another entry of the list.
    """

    name: str
    count: int = 1
    colour: str = ""
    position: tuple[str, int] | None = None


@dataclass(frozen=True)
class DrawingPrompt:
    """One line of the file; ``exclude``: there must be fewer than ``count`` of these."""

    index: int
    task: str
    prompt: str
    include: tuple[Wanted, ...]
    exclude: tuple[Wanted, ...] = ()

    def line(self) -> dict[str, Any]:
        """As the official file has it."""
        said: dict[str, Any] = {"tag": self.task, "include": [_entry(w) for w in self.include]}
        if self.exclude:
            said["exclude"] = [_entry(each) for each in self.exclude]
        return said | {"prompt": self.prompt}


@dataclass(frozen=True)
class DrawingPrompts:
    """Prompts in order, and what of the file could not be read, a sentence each."""

    prompts: tuple[DrawingPrompt, ...]
    notes: tuple[str, ...] = field(default=())


def _entry(wanted: Wanted) -> dict[str, Any]:
    said: dict[str, Any] = {"class": wanted.name, "count": wanted.count}
    said |= {"color": wanted.colour} if wanted.colour else {}
    return said | ({"position": list(wanted.position)} if wanted.position else {})


def read_geneval(file: str | Path) -> DrawingPrompts:
    """A file of prompts; lines that cannot be read are noted and the rest stays.

    Raises:
        MuseError: It is missing, or holds no prompt.
    """
    place = Path(file)
    lines = read_official(place, "GenEval's evaluation_metadata.jsonl").split("\n")
    prompts, notes = [], []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            prompts.append(_prompt(number, parsed(line)))
        except ValueError as error:
            notes.append(f"line {number + 1} of {place.name}: {error}")
    if not prompts:
        why = "; ".join(notes[:3]) or "it is empty"
        raise MuseError(
            f"{place} holds no prompt ({why}): give GenEval's evaluation_metadata.jsonl."
        )
    return DrawingPrompts(tuple(prompts), tuple(notes))


def _prompt(index: int, said: Any) -> DrawingPrompt:
    if (task := words(said, "tag")) not in TASKS:
        raise ValueError(f"its tag is {shown(task)}")
    include, exclude = (
        tuple(_wanted(each) for each in _listed(said, name)) for name in ("include", "exclude")
    )
    if not include:
        raise ValueError("it includes nothing")
    for each in include:
        if each.position and not 0 <= each.position[1] < len(include):
            raise ValueError(f"{each.name} stands by entry {each.position[1]}, which is not there")
    return DrawingPrompt(index, task, words(said, "prompt"), include, exclude)


def _listed(said: Mapping[str, Any], name: str) -> list[Any]:
    if not isinstance(found := said.get(name, []), list):
        raise ValueError(f"its {name} is {shown(found)} and no list")
    return found


def _wanted(said: Any) -> Wanted:
    name = words(said, "class")
    count = whole_number(said.get("count", 1), "count", 1)
    colour = words(said, "color") if "color" in said else ""
    if (position := said.get("position")) is None:
        return Wanted(name, count, colour)
    if not isinstance(position, list) or len(position) != 2:
        raise ValueError(f"the position {shown(position)} is no place and entry")
    if position[0] not in POSITIONS:
        raise ValueError(f"the position {shown(position[0])} is none of {', '.join(POSITIONS)}")
    return Wanted(name, count, colour, (position[0], whole_number(position[1], "entry", 0)))


def write_geneval(folder: Path, prompt: DrawingPrompt, images: Sequence[Image.Image]) -> Path:
    """One prompt's images as the official scorer reads them, below ``folder``.

    Raises:
        MuseError: The disk refuses.
    """
    place = folder / f"{prompt.index:05d}"
    with whole_file(place / METADATA) as temporary:
        temporary.write_text(json.dumps(prompt.line()), encoding="utf-8")
    for number, image in enumerate(images):
        write_png(place / SAMPLES / f"{number:05d}.png", image)
    return place


@dataclass(frozen=True)
class Seen:
    """One object that a judge sees; ``x`` and ``y`` of its centre, right and down, ``width`` and
    ``height`` of its box, all in [0, 1]; 0 where a judge gives centres alone.
    """

    name: str
    colour: str
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0


def drawn_right(prompt: DrawingPrompt, seen: Sequence[Seen]) -> bool:
    """The official rule: enough objects of each class, all of them in their colour and place, and
    not as many as is excluded.

    Args:
        prompt: What was asked for.
        seen: What a judge sees, the surest first.
    """
    groups: list[list[Seen]] = []
    for wanted in prompt.include:
        there = [each for each in seen if each.name == wanted.name][: wanted.count]
        if len(there) < wanted.count:
            return False
        if wanted.colour and any(each.colour != wanted.colour for each in there):
            return False
        groups.append(there)
    for wanted, there in zip(prompt.include, groups, strict=True):
        if wanted.position is not None:
            place, other = wanted.position
            pairs = [(one, by) for one in there for by in groups[other]]
            if not all(place in _places(one, by) for one, by in pairs):
                return False
    counts = {each.name: sum(one.name == each.name for one in seen) for each in prompt.exclude}
    return all(counts[each.name] < each.count for each in prompt.exclude)


def _places(one: Seen, by: Seen) -> set[str]:
    """Where one is, seen from the other: what is left of the way between the centres without a
    tenth of both boxes' sides has to be more than half of that way. An object may be above and
    left of another.
    """
    dx, dy = one.x - by.x, one.y - by.y
    way = math.hypot(dx, dy)
    beyond_x = abs(dx) - BOXES * (one.width + by.width)
    beyond_y = abs(dy) - BOXES * (one.height + by.height)
    across, along = "right of" if dx > 0 else "left of", "below" if dy > 0 else "above"
    return {
        name
        for name, beyond in ((across, beyond_x), (along, beyond_y))
        if beyond > FAR_ENOUGH * way
    }
