"""The few numbers a run is known by: its last stage from ``evaluation.json``, else what its training measured held out."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.measurements import METRICS, Comparison, Metric
from muse_core.reporting.run_records import STAGE_NAMES, part, record, stage_records

SHOWN = ("psnr", "zero_shot", "linear_probe", "miou", "attention_auc")
FINAL, SHARED = re.compile(r"MUSE, after stage (\d+)"), re.compile(r"shared routing, after stage (\d+)")
"""The rows' names in ``evaluation.json``; a test holds them to those that the evaluation writes."""
BASELINE = "Shared routing is the baseline, where every loss may train every weight of the attention."
VERDICTS = {"better": "better than shared routing", "worse": "worse than shared routing"}


@dataclass(frozen=True)
class Number:
    """One headline number in its metric's unit. ``interval`` "26.4 to 26.6"; ``shared`` the baseline's value, with
    ``shared_interval``; ``verdict`` on the two in words; ``chance`` what guessing gives. Each may be empty."""

    label: str
    value: str
    unit: str
    interval: str = ""
    shared: str = ""
    shared_interval: str = ""
    verdict: str = ""
    chance: str = ""


@dataclass(frozen=True)
class Headline:
    """The numbers and the sentence that says on what they were measured."""

    numbers: list[Number]
    about: str


def headline(run: Path) -> Headline | None:
    """The headline numbers of a run's report folder; None where nothing was measured or the records are damaged."""
    return _evaluated(record(run, "evaluation")) or _held_out(stage_records(run))


def with_unit(number: str, unit: str) -> str:
    """ "26.5 dB", with a space that does not break."""
    return f"{number}\N{NO-BREAK SPACE}{unit}" if number and unit else number


def _evaluated(evaluation: dict[str, Any]) -> Headline | None:
    rows = [row for row in evaluation.get("rows") or () if isinstance(row, dict)]
    final, shared = _last(rows, FINAL), _last(rows, SHARED)
    verdicts = _verdicts(evaluation, str(final.get("name")), str(shared.get("name")))
    found = [_number(name, _figure(final, name), _figure(shared, name), verdicts.get(name, "")) for name in SHOWN]
    numbers = [one for one in found if one.value]
    sentences = [_evaluation_sentence(evaluation, final), BASELINE if any(one.shared for one in numbers) else ""]
    return Headline(numbers, " ".join(filter(None, sentences))) if numbers else None


def _last(rows: list[dict[str, Any]], pattern: re.Pattern[str]) -> dict[str, Any]:
    """The row of the highest stage whose name fits."""
    fits = [(int(found[1]), place) for place, row in enumerate(rows) if (found := pattern.match(str(row.get("name"))))]
    return rows[max(fits)[1]] if fits else {}


def _figure(row: dict[str, Any], name: str) -> dict[str, Any]:
    return part(part(row, "measurements"), name)


def _number(name: str, figure: dict[str, Any], shared: dict[str, Any], verdict: str) -> Number:
    metric = METRICS[name]
    return Number(
        label=metric.words,
        value=_text(figure.get("value"), metric),
        unit=metric.unit,
        interval=_interval(figure, metric),
        shared=_text(shared.get("value"), metric),
        shared_interval=_interval(shared, metric),
        verdict=verdict,
    )


def _interval(figure: dict[str, Any], metric: Metric) -> str:
    low, high = (_text(figure.get(end), metric) for end in ("low", "high"))
    return f"{low} to {high}" if low and high else ""


def _text(value: Any, metric: Metric) -> str:
    """A value in the metric's unit and digits; "" for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return f"{value * metric.scale:z.{metric.digits}f}".replace("-", "−")


def _verdicts(evaluation: dict[str, Any], final: str, shared: str) -> dict[str, str]:
    """Metric -> what the paired comparison with shared routing says; only those that were compared."""
    found = (one for one in evaluation.get("comparisons") or () if isinstance(one, dict))
    pairs = (one for one in found if (one.get("a"), one.get("b")) == (final, shared) and one.get("metric") in METRICS)
    return {one["metric"]: _verdict(one) for one in pairs}


def _verdict(one: dict[str, Any]) -> str:
    try:
        return VERDICTS.get(Comparison(**one).verdict, "not told apart from shared routing")
    except TypeError:
        return ""


def _evaluation_sentence(evaluation: dict[str, Any], final: dict[str, Any]) -> str:
    """ "Measured after stage 3 on 1,000 test images that ..."."""
    stage = FINAL.match(str(final.get("name")))
    images, count = evaluation.get("split", "test"), evaluation.get("n_test")
    after = f"after stage {stage[1]} " if stage else ""
    how_many = f"up to {count:,} {images} images" if isinstance(count, int) else f"{images} images"
    return (
        f"Measured {after}on {how_many} that training never saw; below each value its 95 % interval over those images."
    )


def _held_out(stages: dict[int, dict[str, Any]]) -> Headline | None:
    """The last stage whose held-out quick look was written down."""
    for number in sorted(stages, reverse=True):
        found = part(stages[number], "held_out")
        numbers = [one for one in map(_quick, ("psnr", "zero_shot"), (found, found)) if one.value]
        if numbers:
            return Headline(numbers, _held_out_sentence(number, found))
    return None


def _quick(name: str, held_out: dict[str, Any]) -> Number:
    metric = METRICS[name]
    chance = with_unit(_text(held_out.get("chance"), metric), metric.unit) if name == "zero_shot" else ""
    return Number(metric.words, _text(held_out.get(name), metric), metric.unit, chance=chance)


def _held_out_sentence(stage: int, held_out: dict[str, Any]) -> str:
    count = held_out.get("n")
    how_many = f"{count:,} held-out images" if isinstance(count, int) else "held-out images"
    return f"A quick look after stage {stage}, {STAGE_NAMES[stage].lower()}, on {how_many}; notebook 05 measures with intervals."
