"""The README.md beside a saved tokenizer: what it is, how it was trained, how to load it."""

from pathlib import Path

from muse_core.training.stage_record import StageRecord

TEMPLATE = Path(__file__).with_suffix(".md")


def write_model_card(folder: Path, record: StageRecord) -> None:
    """Write ``README.md`` into a tokenizer's folder."""
    last = ", ".join(f"{name} {values['last']:.4g}" for name, values in record.losses.items())
    facts = record.__dict__ | record.provenance.__dict__ | {"last_losses": last}
    card = TEMPLATE.read_text(encoding="utf-8").format(folder=folder.name, **facts)
    (folder / "README.md").write_text(card)
