"""The few numbers a run is known by: its last stage from ``evaluation.json``, else what its
training measured held out.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.report.run_records import STAGE_NAMES, part, parts, record, stage_records
from muse_core.results.measurements import METRICS, Comparison, Metric

SHOWN = ("psnr", "zero_shot", "linear_probe", "miou", "attention_auc")
FINAL, SHARED = (
    re.compile(r"MUSE, after stage (\d+)"),
    re.compile(r"shared routing, after stage (\d+)"),
)
"""The rows' names in ``evaluation.json``; a test holds them to those that the evaluation writes."""
BASELINE = (
    "Shared routing is the baseline, where every loss may train every weight of the attention."
)
COMPARED = {"better": "better than", "worse": "worse than", "no difference": "not told apart from"}


@dataclass(frozen=True)
class Number:
    """One headline number in its metric's unit. ``interval`` "26.4 to 26.6"; ``shared`` the
    baseline's value, with ``shared_interval``; ``verdict`` on the two, a key of `COMPARED`;
    ``chance`` what guessing gives. Each may be empty."""

    label: str
    value: str
    unit: str
    interval: str = ""
    shared: str = ""
    shared_interval: str = ""
    verdict: str = ""
    chance: str = ""

    @property
    def beside(self) -> str:
        """ "better than shared routing (25.5 dB)", or "" where there is no baseline."""
        baseline = with_unit(self.shared, self.unit)
        if not baseline:
            return ""
        return (
            f"{COMPARED[self.verdict]} shared routing ({baseline})"
            if self.verdict
            else f"shared routing: {baseline}"
        )


@dataclass(frozen=True)
class Headline:
    """The numbers and the sentence that says on what they were measured."""

    numbers: list[Number]
    about: str


def headline(run: Path) -> Headline | None:
    """The headline numbers of a run's report folder; None where nothing was measured or the records
    are damaged.
    """
    return _evaluated(record(run, "evaluation")) or _held_out(stage_records(run))


def with_unit(number: str, unit: str) -> str:
    """ "26.5 dB", with a space that does not break."""
    return f"{number}\N{NO-BREAK SPACE}{unit}" if number and unit else number


def _evaluated(evaluation: dict[str, Any]) -> Headline | None:
    rows = parts(evaluation, "rows")
    final, shared = _last(rows, FINAL), _last(rows, SHARED)
    verdicts = _verdicts(evaluation, str(final.get("name")), str(shared.get("name")))
    found = [
        _number(name, _figure(final, name), _figure(shared, name), verdicts.get(name, ""))
        for name in SHOWN
    ]
    numbers = [one for one in found if one.value]
    sentences = [
        _evaluation_sentence(evaluation, final),
        BASELINE if any(one.shared for one in numbers) else "",
    ]
    return Headline(numbers, " ".join(filter(None, sentences))) if numbers else None


def _last(rows: list[dict[str, Any]], pattern: re.Pattern[str]) -> dict[str, Any]:
    """The row of the highest stage whose name fits."""
    fits = [
        (int(found[1]), place)
        for place, row in enumerate(rows)
        if (found := pattern.match(str(row.get("name"))))
    ]
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
    pairs = [
        one
        for one in parts(evaluation, "comparisons")
        if (one.get("a"), one.get("b")) == (final, shared)
    ]
    found = {name: one for name in SHOWN for one in pairs if one.get("metric") == name}
    return {name: verdict for name, one in found.items() if (verdict := _verdict(name, one))}


def _verdict(name: str, one: dict[str, Any]) -> str:
    """The comparison's own verdict; "" where its numbers are damaged."""
    ends = [one.get(part) for part in ("difference", "low", "high")]
    if not all(isinstance(end, int | float) for end in ends):
        return ""
    return Comparison(name, one["a"], one["b"], *map(float, ends)).verdict


def _evaluation_sentence(evaluation: dict[str, Any], final: dict[str, Any]) -> str:
    """ "Measured after stage 3 on 1,000 test images that ..."."""
    stage = FINAL.match(str(final.get("name")))
    images, count = evaluation.get("split", "test"), evaluation.get("n_test")
    after = f"after stage {stage[1]} " if stage else ""
    how_many = f"up to {count:,} {images} images" if isinstance(count, int) else f"{images} images"
    return f"Measured {after}on {how_many} that training never saw; the ranges are 95 % intervals over those images."


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
    chance = (
        with_unit(_text(held_out.get("chance"), metric), metric.unit) if name == "zero_shot" else ""
    )
    return Number(metric.words, _text(held_out.get(name), metric), metric.unit, chance=chance)


def _held_out_sentence(stage: int, held_out: dict[str, Any]) -> str:
    count = held_out.get("n")
    how_many = f"{count:,} held-out images" if isinstance(count, int) else "held-out images"
    return f"A quick look after stage {stage}, {STAGE_NAMES[stage].lower()}, on {how_many}; notebook 05 measures with intervals."
