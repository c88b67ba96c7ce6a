"""Results as tables in HTML: of an evaluation, of comparisons, of a study and of attention
variants.
"""

from collections.abc import Mapping, Sequence
from html import escape

from muse_core.errors import MuseError
from muse_core.figures import tables
from muse_core.figures.tables import Cell, heads, metric_head, metric_named, number_text, row_name
from muse_core.results import measurements
from muse_core.results.measurements import METRICS, Metric, Row, StudyCell, StudyRecord, StudyRow

REFERENCES = (tables.CHANCE, tables.REAL_IMAGES)
"""Rows that nothing was trained for: never the best of a table."""

SENTENCE_METRICS = (
    "psnr",
    "zero_shot",
    "linear_probe",
    "linear_probe_z",
    "miou",
    "attention_auc",
)


def results_table(rows: Sequence[Row], metrics: Sequence[str], caption: str) -> str:
    """HTML: one line a row, one column a metric that any row has, the best trained subject of each
    column bold.

    Raises:
        MuseError: A metric is unknown, or there is no row.
    """
    if not rows:
        raise MuseError(f"There is nothing to show in {caption!r}: give at least one row.")
    kinds = {name: metric_named(name) for name in metrics}
    shown = [name for name in kinds if any(tables.scaled(row, name) for row in rows)]
    best = {name: _best(rows, name) for name in shown}
    texts = dict.fromkeys(_reason(row, name) for row in rows for name in shown)
    letters = {text: _letter(at) for at, text in enumerate(filter(None, texts))}
    head = [*heads(""), *(metric_head(kinds[name]) for name in shown)]
    lines = [
        [row_name(row.name), *(_result(row, name, best[name], letters) for name in shown)]
        for row in rows
    ]
    return tables.table(caption, head, lines, [(letters[text], text) for text in letters])


def comparison_table(comparisons: Sequence[measurements.Comparison]) -> str:
    """HTML: one line a comparison, with the verdict on ``a`` in words; an empty text where nothing
    was compared.
    """
    head = [
        *heads("metric", "a", "b"),
        *heads("a − b (95 % interval)", words=False),
        *heads("a is"),
    ]
    lines = []
    for one in comparisons:
        kind, numbers = metric_named(one.metric), (one.difference, one.low, one.high)
        difference, low, high = (number_text(each * kind.scale, kind, "+") for each in numbers)
        names = [Cell(name, words=True, style="min-width:10em") for name in (one.a, one.b)]
        number = Cell(f"{difference} {tables.difference_unit(kind)}", f"{low} to {high}")
        verdict_ = Cell(one.verdict, words=True, verdict=one.verdict, style="white-space:nowrap")
        lines.append([row_name(kind.words), *names, number, verdict_])
    return tables.table("Differences on the same images", head, lines) if lines else ""


def features_table(rows: Sequence[Row], metric: str) -> str:
    """HTML: one line a row, one column a feature that was probed for ``metric``; an empty text
    where none was.
    """
    measured = {row.name: row.measurements.get(metric) for row in rows}
    probed = {
        name: found.details.get("by_feature", {}) for name, found in measured.items() if found
    }
    features = list(dict.fromkeys(name for values in probed.values() for name in values))
    kind, lines = metric_named(metric), []
    for name, values in probed.items():
        held = [values.get(feature) for feature in features]
        texts = ["" if one is None else number_text(one * kind.scale, kind) for one in held]
        lines += [[row_name(name), *map(Cell, texts)]] if values else []
    head = [*heads(""), *heads(*features, words=False)]
    return tables.table(f"{kind.words} by feature, {kind.unit}", head, lines) if features else ""


def variant_table(rows: Sequence[measurements.VariantRow]) -> str:
    """HTML: one line an attention variant: what it changes, what leaks (nothing), what it costs."""
    columns = ("largest forbidden gradient", "closed pairs walked", "weights of a block")
    lines = []
    for row in rows:
        leak = "0, exactly" if row.forbidden == 0.0 else f"{row.forbidden:.1e}"
        leaks = Cell(leak, verdict="better" if row.forbidden == 0.0 else "worse")
        numbers = (f"{row.pairs:,}", f"{row.parameters:,}", f"× {row.time:.2f}")
        lines.append([row_name(row.name), Cell(row.words, words=True), leaks, *map(Cell, numbers)])
    head = [*heads("attention", "what it is"), *heads(*columns, "time of a step", words=False)]
    return tables.table("Attention variants under orthogonal routing", head, lines)


def study_table(record: StudyRecord, metrics: Sequence[str]) -> str:
    """HTML: one line a row with its figures, what the paper says of it, and what came out.

    Raises:
        MuseError: A metric is unknown, or there is no row.
    """
    if not record.rows:
        raise MuseError(f"The study {record.study!r} has no rows to show.")
    kinds = {name: metric_named(name) for name in metrics}
    shown = [name for name in kinds if any(name in row.cells for row in record.rows)]
    head = [*heads("what is changed"), *(metric_head(kinds[name], 3.5) for name in shown)]
    lines = []
    for row in record.rows:
        cells = [_study_cell(row.cells.get(metric), kinds[metric]) for metric in shown]
        colour = {"reproduced": "better", "failed": "worse"}.get(row.outcome, "")
        outcome = (row.outcome if row.cells else "no run was finished") or "–"
        paper = Cell(row.paper or "–", words=True, style="min-width:8em;max-width:13em")
        came = Cell(outcome, words=True, bold=True, verdict=colour)
        words = f"{row.words} (compared with {row.against})" if row.against else row.words
        lines.append([row_name(row.name, words, bold=True), *cells, paper, came])
    failures = [f"{row.name}, {reason}" for row in record.rows for reason in row.failures]
    seeds = ", ".join(map(str, record.seeds))
    caption = f"Study {record.study}: preset {record.preset}, {record.data}, seeds {seeds}"
    notes = [("", f"Not finished: {failure}") for failure in failures]
    return tables.table(caption, [*head, *heads("the paper says", "here")], lines, notes)


def verdict(found: StudyCell, metric: Metric) -> str:
    """ "better", "worse" or "no difference" against the row it is compared with."""
    return metric.verdict({"higher": 1, "lower": -1, "same": 0}[found.direction])


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
    held = [tables.scaled(row, metric) for row in rows if row.name not in REFERENCES]
    values = [three[0] for three in held if three]
    return number_text(max(values, key=lambda value: kind.better * value), kind) if values else None


def _reason(row: Row, metric: str) -> str:
    """Why there is no figure; empty where there is one or nobody said why."""
    found = row.measurements.get(metric)
    if found is None or tables.scaled(row, metric):
        return ""
    return found.protocol if found.value is None else "The measured value is not a number."


def _letter(at: int) -> str:
    return chr(ord("a") + at % 26) * (at // 26 + 1)


def _result(row: Row, name: str, best: str | None, letters: Mapping[str, str]) -> Cell:
    texts = tables.value_and_interval(row, name, " – ")
    if texts is None:
        return Cell("–", note=letters.get(_reason(row, name), ""))
    return Cell(*texts, bold=texts[0] == best and row.name not in REFERENCES)


def _study_cell(found: StudyCell | None, metric: Metric) -> Cell:
    """The mean, coloured where it differs from the first row's, over its interval; seeds are in the
    tooltip.
    """
    if found is None:
        return Cell("–")
    text = lambda number: number_text(number * metric.scale, metric)
    interval = " – ".join(text(end) for end in (found.low, found.high) if end is not None)
    tip = f"by seed: {', '.join(map(text, found.by_seed))}"
    tip += f"; adjusted p {found.p:.3f}" if found.p is not None else ""
    return Cell(text(found.value), interval, verdict=verdict(found, metric), tip=tip)


def _sentence(row: StudyRow) -> str:
    against = f"; compared with {row.against}" if row.against else ""
    start = f"<strong>{escape(row.name)}</strong> ({escape(row.words + against)})"
    if not row.cells:
        return f"{start}: no run was finished: {escape('; '.join(row.failures))}."
    parts = []
    for name in SENTENCE_METRICS:
        found, kind = row.cells.get(name), METRICS[name]
        if found and found.difference is not None and found.direction != "same":
            difference = number_text(found.difference * kind.scale, kind, "+")
            parts.append(f"{kind.words} {difference} {tables.difference_unit(kind)}".rstrip())
    compared = [each for each in row.cells.values() if each.difference is not None]
    nothing = "no difference can be told"
    if compared and all(each.difference_low is None for each in compared):
        nothing = "too few seeds for an interval of any difference"
    told = ", ".join(parts) or nothing
    paper = f" The paper says: {escape(row.paper)}. <em>{row.outcome}.</em>" if row.paper else ""
    return f"{start}: {told}.{paper}"
