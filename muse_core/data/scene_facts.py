"""What text alone tells about the words of drawn scenes: colours that mix, corners to count."""

import re
from dataclasses import dataclass

FACTS: tuple[tuple[str, str], ...] = (
    ("what do red and yellow make ?", "orange"),
    ("what do yellow and red make ?", "orange"),
    ("what do blue and yellow make ?", "green"),
    ("what do yellow and blue make ?", "green"),
    ("what do red and blue make ?", "purple"),
    ("what do blue and red make ?", "purple"),
    ("what do red and white make ?", "pink"),
    ("what do white and red make ?", "pink"),
    ("what do green and blue make ?", "cyan"),
    ("what do blue and green make ?", "cyan"),
    ("what colour is a lemon ?", "yellow"),
    ("what colour is grass ?", "green"),
    ("what colour is a tomato ?", "red"),
    ("what colour is a carrot ?", "orange"),
    ("what colour is a plum ?", "purple"),
    ("what colour is the sea ?", "blue"),
    ("what colour is a flamingo ?", "pink"),
    ("how many points has a star ?", "five"),
    ("how many corners has a square ?", "four"),
    ("how many corners has a triangle ?", "three"),
    ("how many arms has a cross ?", "four"),
    ("which shape means love ?", "heart"),
    ("which shape shows the way ?", "arrow"),
    ("which shape measures time ?", "hourglass"),
    ("which shape is the young moon ?", "crescent"),
    ("which shape is worn on a finger ?", "ring"),
    ("which shape is a wheel ?", "circle"),
    ("which shape is a roof ?", "triangle"),
    ("which shape shines at night ?", "star"),
    ("which shape is a box ?", "square"),
    ("which shape means plus ?", "cross"),
)
"""(question, answer): no picture shows any of them."""


@dataclass(frozen=True)
class Riddle:
    """``words`` that stand for an ``answer``, a shape or a colour (``kind``), without naming it."""

    words: str
    kind: str
    answer: str


FORMS = (
    (r"which shape (.+) \?", "shape", r"the shape that \1"),
    (r"what colour is (.+) \?", "colour", r"the colour of \1"),
    (r"what do (.+) make \?", "colour", r"the colour that \1 make"),
)
"""(question, what it asks for, the same as a thing)."""


def riddles() -> list[Riddle]:
    """Of every fact about a shape or a colour."""
    return [
        Riddle(re.sub(pattern, form, question), kind, answer)
        for question, answer in FACTS
        for pattern, kind, form in FORMS
        if re.fullmatch(pattern, question)
    ]
