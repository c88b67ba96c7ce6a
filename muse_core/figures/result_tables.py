"""Results as tables in HTML: of an evaluation, of comparisons, of a study and of attention
variants.
"""

from collections.abc import Mapping, Sequence
from html import escape

from muse_core.errors import MuseError
from muse_core.figures.tables import (
    CHANCE,
    REAL_IMAGES,
    VERDICT_COLOURS,
    cell,
    metric_head,
    metric_named,
    number_text,
    scaled,
    table,
    word_heads,
)
from muse_core.results.measurements import (
    METRICS,
    Comparison,
    Metric,
    Row,
    StudyCell,
    StudyRecord,
    StudyRow,
    VariantRow,
)

REFERENCES = (CHANCE, REAL_IMAGES)
"""Rows that nothing was trained for: never the best of a table."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"
OUTCOME_COLOURS = {"reproduced": VERDICT_COLOURS["better"], "failed": VERDICT_COLOURS["worse"]}
SENTENCE_METRICS = ("psnr", "zero_shot", "linear_probe", "miou", "attention_auc")
ROW_NAME = "min-width:8em;max-width:18em;text-wrap:balance"


def results_table(rows: Sequence[Row], metrics: Sequence[str], caption: str) -> str:
    """HTML: one line a row, one column a metric that any row has, the best trained subject of each
    column bold.

    Raises:
        MuseError: A metric is unknown, or there is no row.
    """
    if not rows:
        raise MuseError(f"There is nothing to show in {caption!r}: give at least one row.")
    kinds = {name: metric_named(name) for name in metrics}
    shown = [name for name in kinds if any(scaled(row, name) for row in rows)]
    best = {name: _best(rows, name) for name in shown}
    texts = dict.fromkeys(_reason(row, name) for row in rows for name in shown)
    reasons = {text: _letter(at) for at, text in enumerate(filter(None, texts))}
    lines = [
        [
            cell(row.name, head="row", words=True, style=ROW_NAME),
            *(_result(row, name, best[name], reasons) for name in shown),
        ]
        for row in rows
    ]
    notes = [f"<sup>{letter}</sup> {escape(text)}" for text, letter in reasons.items()]
    head = [*word_heads(""), *(metric_head(kinds[name]) for name in shown)]
    return table(caption, head, lines, notes)


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """HTML: one line a comparison, with the verdict on ``a`` in words; an empty text where nothing
    was compared.
    """
    head = word_heads("metric", "a", "b")
    head += [cell("a − b", "95 % interval", "col", bold=True), *word_heads("a is")]
    lines = [_comparison(one, metric_named(one.metric)) for one in comparisons]
    return table("Differences on the same images", head, lines) if lines else ""


def features_table(rows: Sequence[Row], metric: str) -> str:
    """HTML: one line a row, one column a feature that was probed for ``metric``; an empty text
    where none was.
    """
    probed: dict[str, Mapping[str, float]] = {
        row.name: found.details.get("by_feature", {})
        for row in rows
        if (found := row.measurements.get(metric))
    }
    features = list(dict.fromkeys(name for values in probed.values() for name in values))
    if not features:
        return ""
    kind = metric_named(metric)
    lines = [
        [
            cell(name, head="row", words=True, style=ROW_NAME),
            *(_feature(values.get(feature), kind) for feature in features),
        ]
        for name, values in probed.items()
        if values
    ]
    head = [*word_heads(""), *(cell(feature, head="col", bold=True) for feature in features)]
    return table(f"{kind.words} by feature, {kind.unit}", head, lines)


def variant_table(rows: Sequence[VariantRow]) -> str:
    """HTML: one line an attention variant: what it changes, what leaks (nothing), what it costs."""
    columns = ("largest forbidden gradient", "closed pairs walked", "weights of a block")
    style = "white-space:normal;vertical-align:bottom"
    heads = [cell(n, head="col", bold=True, style=style) for n in (*columns, "time of a step")]
    lines = []
    for row in rows:
        leak = "0, exactly" if row.forbidden == 0.0 else f"{row.forbidden:.1e}"
        colour = VERDICT_COLOURS["better" if row.forbidden == 0.0 else "worse"]
        numbers = (f"{row.pairs:,}", f"{row.parameters:,}", f"× {row.time:.2f}")
        names = [cell(row.name, head="row", words=True), cell(row.words, words=True)]
        lines.append([*names, cell(leak, colour=colour), *map(cell, numbers)])
    head = [*word_heads("attention", "what it is"), *heads]
    return table("Attention variants under orthogonal routing", head, lines)


def study_table(record: StudyRecord, metrics: Sequence[str]) -> str:
    """HTML: one line a row with its figures, what the paper says of it, and what came out.

    Raises:
        MuseError: A metric is unknown, or there is no row.
    """
    if not record.rows:
        raise MuseError(f"The study {record.study!r} has no rows to show.")
    kinds = {name: metric_named(name) for name in metrics}
    shown = [name for name in kinds if any(name in row.cells for row in record.rows)]
    head = [*word_heads("what is changed"), *(metric_head(kinds[name], 3.5) for name in shown)]
    notes = [f"{row.name}, {reason}" for row in record.rows for reason in row.failures]
    return table(
        f"Study {record.study}: preset {record.preset}, {record.data}, seeds "
        f"{', '.join(map(str, record.seeds))}",
        [*head, *word_heads("the paper says", "here")],
        [_study_row(row, shown) for row in record.rows],
        [escape(f"Not finished: {note}") for note in notes],
    )


def verdict(found: StudyCell, metric: Metric) -> str:
    """ "better", "worse" or "no difference" against the first row."""
    if found.direction == "same":
        return "no difference"
    return "better" if (found.direction == "higher") == (metric.better > 0) else "worse"


def outcome_sentences(record: StudyRecord) -> list[str]:
    """One sentence (HTML) a row after the first: what differs, and how that compares with the
    paper.
    """
    return [_sentence(row) for row in record.rows[1:]]


def _best(rows: Sequence[Row], metric: str) -> str | None:
    """The best figure of the trained subjects as a cell shows it; equal looking cells are equally
    bold.
    """
    kind = METRICS[metric]
    held = [scaled(row, metric) for row in rows if row.name not in REFERENCES]
    values = [three[0] for three in held if three]
    return number_text(max(values, key=lambda value: kind.better * value), kind) if values else None


def _reason(row: Row, metric: str) -> str:
    """Why there is no figure; empty where there is one or nobody said why."""
    found = row.measurements.get(metric)
    if found is None or scaled(row, metric):
        return ""
    return found.protocol if found.value is None else "The measured value is not a number."


def _letter(at: int) -> str:
    return LETTERS[at % 26] * (at // 26 + 1)


def _result(row: Row, name: str, best: str | None, reasons: Mapping[str, str]) -> str:
    three, metric = scaled(row, name), METRICS[name]
    if three is None:
        return cell("–", note=reasons.get(_reason(row, name), ""))
    value, low, high = (number_text(each, metric) for each in three)
    has_interval = row.measurements[name].low is not None
    interval = f"{low} – {high}" if has_interval else ""
    return cell(value, interval, bold=value == best and row.name not in REFERENCES)


def _feature(value: float | None, metric: Metric) -> str:
    return cell("" if value is None else number_text(value * metric.scale, metric))


def _comparison(one: Comparison, metric: Metric) -> list[str]:
    numbers = (one.difference, one.low, one.high)
    difference, low, high = (number_text(each * metric.scale, metric, "+") for each in numbers)
    colour = VERDICT_COLOURS.get(one.verdict, "inherit")
    return [
        cell(metric.words, head="row", words=True),
        *(cell(name, words=True, style="min-width:10em") for name in (one.a, one.b)),
        cell(f"{difference} {_difference_unit(metric)}", f"{low} to {high}"),
        cell(one.verdict, words=True, colour=colour, style="white-space:nowrap"),
    ]


def _difference_unit(metric: Metric) -> str:
    return "points" if metric.unit == "%" else metric.unit


def _study_row(row: StudyRow, metrics: Sequence[str]) -> list[str]:
    style = "min-width:8.5em;max-width:14em"
    name = cell(row.name, row.words, "row", words=True, bold=True, style=style)
    cells = [_study_cell(row.cells.get(metric), METRICS[metric]) for metric in metrics]
    outcome = row.outcome if row.cells else "no run was finished"
    colour = OUTCOME_COLOURS.get(row.outcome, "inherit")
    paper = cell(row.paper or "–", words=True, style="min-width:8em;max-width:13em")
    return [name, *cells, paper, cell(outcome or "–", words=True, bold=True, colour=colour)]


def _study_cell(found: StudyCell | None, metric: Metric) -> str:
    """The mean, coloured where it differs from the first row's, over its interval; seeds are in the
    tooltip.
    """
    if found is None:
        return cell("–")
    value, *seeds = (
        number_text(each * metric.scale, metric) for each in (found.value, *found.by_seed)
    )
    ends = [end for end in (found.low, found.high) if end is not None]
    interval = " – ".join(number_text(end * metric.scale, metric) for end in ends)
    colour = VERDICT_COLOURS.get(verdict(found, metric), "inherit")
    return cell(value, interval, colour=colour, tip=f"by seed: {', '.join(seeds)}")


def _sentence(row: StudyRow) -> str:
    start = f"<strong>{escape(row.name)}</strong> ({escape(row.words)})"
    if not row.cells:
        return f"{start}: no run was finished: {escape('; '.join(row.failures))}."
    parts = []
    for name in SENTENCE_METRICS:
        found, kind = row.cells.get(name), METRICS[name]
        if found and found.difference is not None and found.direction != "same":
            difference = number_text(found.difference * kind.scale, kind, "+")
            parts.append(f"{kind.words} {difference} {_difference_unit(kind)}".rstrip())
    told = ", ".join(parts) or "no figure can be told apart from the first row's"
    paper = f" The paper says: {escape(row.paper)}. <em>{row.outcome}.</em>" if row.paper else ""
    return f"{start}: {told}.{paper}"
