"""The training stages of a run as rows of a table: steps, time, speed, losses, and what was
measured afterwards.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.report.run_records import STAGE_NAMES, minutes, number, part, stage_records


@dataclass(frozen=True)
class StageRow:
    """One stage, in words: ``losses`` such as "topology 1.20 → 0.31"; what its record lacks is an
    empty text.
    """

    name: str
    steps: str
    minutes: str
    speed: str
    losses: list[str]
    held_out: str


def stage_rows(run: Path) -> list[StageRow]:
    """The stages of a run that left a record, in order."""
    return [_row(place, record) for place, record in stage_records(run).items()]


def _row(place: int, record: dict[str, Any]) -> StageRow:
    return StageRow(
        name=f"{place} · {STAGE_NAMES[place]}",
        steps=number(record.get("steps"), "{:,.0f}"),
        minutes=minutes(record.get("seconds")),
        speed=number(record.get("images_per_second"), "{:,.1f}"),
        losses=_losses(part(record, "losses")),
        held_out=_held_out(part(record, "held_out")),
    )


def _losses(losses: dict[str, Any]) -> list[str]:
    """ "topology 1.20 → 0.31" for each loss."""
    return [
        f"{name} {_digits(ends.get('first'))} → {_digits(ends.get('last'))}"
        for name, ends in losses.items()
        if isinstance(ends, dict)
    ]


def _digits(value: Any) -> str:
    return number(value, "{:.3g}").replace("-", "−")


def _held_out(held_out: dict[str, Any]) -> str:
    psnr, zero_shot = (
        number(held_out.get("psnr"), "{:.2f} dB"),
        number(held_out.get("zero_shot"), "{:.1%}"),
    )
    return ", ".join(
        text for text in (psnr and f"PSNR {psnr}", zero_shot and f"zero-shot {zero_shot}") if text
    )
