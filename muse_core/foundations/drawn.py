"""Which pretrained parts have never seen a photograph, as the cards beside them say."""

from pathlib import Path

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


def _trained_on(place: str) -> str:
    """What ``card.json`` beside a foundation's folder says of its data; "" where there is none."""
    card = Path(place).parent / "card.json"
    part = read_json(card).get("parts", {}).get(Path(place).name, {}) if card.is_file() else {}
    return str(part.get("data", ""))
