"""What pretrained parts have seen: whether drawings alone, and how many images, as the cards beside
them say.
"""

from pathlib import Path
from typing import Any

from muse_core.config.preset import Preset
from muse_core.config.presets import PRESETS
from muse_core.results.records import read_json

TOWER = "text tower"


def drawn_only(preset: Preset) -> list[str]:
    """The foundations that have seen nothing but drawn scenes, as the card beside each says."""
    where = preset.foundations
    parts = {"backbone": where.backbone, "teacher": where.teacher, TOWER: where.text_tower}
    return [name for name, place in parts.items() if _trained_on(place).startswith("scenes")]


def of_photographs() -> list[str]:
    """The presets without such a foundation: theirs are published networks."""
    return [name for name, make in PRESETS.items() if not drawn_only(make())]


def images_seen(place: str) -> int | None:
    """How many images a foundation was trained on, those seen again counted again; None where no
    card says so.
    """
    card = _card(place)
    return card["steps"] * card["batch_size"] if {"steps", "batch_size"} <= card.keys() else None


def _trained_on(place: str) -> str:
    """What its card says of a foundation's data; "" where there is none."""
    return str(_card(place).get("data", ""))


def _card(place: str) -> dict[str, Any]:
    """What ``card.json`` beside a foundation's folder says of it."""
    card = Path(place).parent / "card.json"
    return read_json(card).get("parts", {}).get(Path(place).name, {}) if card.is_file() else {}
