"""``muse evaluate``: one network that lies somewhere, measured with the protocol of notebook 05."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tqdm import tqdm

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import evaluate
from muse_core.evaluation.named_network import NamedNetwork, named_network
from muse_core.evaluation.network_place import NetworkPlace
from muse_core.evaluation.protocol import Protocol, open_protocol
from muse_core.figures.tables import metric_named, value_and_interval
from muse_core.results.machine_paths import data_words, without_machine_paths
from muse_core.results.measurements import EvaluationRecord, Row
from muse_core.results.records import plain, provenance, read_json, write_json
from muse_core.training.distributed import device_for
from muse_core.training.teachers import load_teachers

COLUMNS = (
    *("psnr", "ssim", "lpips", "perceptual_judge", "rfid", "fd_judge"),
    *("zero_shot", "zero_shot_top5", "linear_probe", "miou"),
    *("attention_auc", "attention_iou", "attention_pointing", "attention_kl", "attention_rank"),
)
"""The metrics of notebook 05's tables, in their order."""
INTERVALS = (
    "Intervals are bootstrap 95 % intervals over test images; they hold for these weights and say "
    "nothing about another training seed."
)


@dataclass(frozen=True)
class EvaluatedNetwork:
    """What was measured, the table as text, and where the record lies."""

    record: EvaluationRecord
    table: str
    file: Path


def evaluate_network(
    place: NetworkPlace,
    preset: Preset,
    data: str = "scenes",
    split: str = "test",
    seed: int = 0,
    device: str = "auto",
    say: Callable[[str], object] = lambda _: None,
) -> EvaluatedNetwork:
    """Measure a network and keep its row.

    Args:
        place: Where it lies.
        preset: The frozen networks that compare and name, the size of images, how many of them.
        data: What is shown, as `muse_core.data.sources.open_source` takes it.
        split: What is measured on; probes are fitted on "train".
        seed: Of validation splits, heads and bootstrap.
        device: "auto", "cpu", "cuda" or "mps".
        say: Told what of the data is not used.

    Returns:
        The record, which lies in ``reports/evaluate`` under the name of the network. Where that
        name is taken by a row of other weights, data or sizes, a hash of these follows the name.

    Raises:
        MuseError: For what is no network, what cannot be read, and a disk that refuses.
    """
    began, where = time.monotonic(), device_for(device)
    folder = paths.writable(paths.root() / "reports" / paths.EVALUATE)
    network = named_network(place, preset, where)
    note = network.note(preset.image_size)
    train, test = (open_source(data, each, preset.image_size) for each in ("train", split))
    for each in dict.fromkeys((*train.notes, *test.notes)):
        say(f"not used: {each}")
    protocol = open_protocol(preset, train, test, load_teachers(preset, where), seed)
    row = _measured(network, protocol, note)
    absent = [
        f"not measured, as its weights are absent: {each}" for each in protocol.networks.absent
    ]
    record = EvaluationRecord(
        run=place.title,
        preset=preset.name,
        data=data_words(data),
        split=split,
        n_train=min(protocol.n_train, len(train)),
        n_test=min(protocol.n_test, len(test)),
        seed=seed,
        rows=[row],
        comparisons=[],
        notes=[*filter(None, [note]), *absent, INTERVALS],
        seconds=round(time.monotonic() - began, 1),
        provenance=provenance(str(where)),
    )
    file = _free_file(folder, place.file_stem, record, test.fingerprint)
    return EvaluatedNetwork(record, text_table(record), write_json(file, _shareable(record)))


def of_images(preset: Preset, images: int) -> Preset:
    """The preset with so many images measured, and its probes fitted on as many times more as
    before; 0 leaves it as it is.
    """
    if not images:
        return preset
    times = preset.probe_images / preset.held_out_images
    return replace(preset, held_out_images=images, probe_images=max(2, round(images * times)))


def _measured(network: NamedNetwork, protocol: Protocol, note: str) -> Row:
    """The row; a figure of resized images says so."""
    passes = [(protocol.test, protocol.n_test), (protocol.train, protocol.n_train)]
    total = sum(min(count, len(source)) for source, count in passes)
    with tqdm(total=total, desc="features", unit="image", file=sys.stderr, delay=2) as bar:

        def heard(images: int) -> None:
            bar.update(images)
            if bar.n >= total:
                bar.set_description("probes")

        network.heard = heard
        row = evaluate(network, protocol).row
    measured = {
        metric: found
        if found.value is None or not note
        else replace(found, protocol=f"{found.protocol}; {note}")
        for metric, found in row.measurements.items()
    }
    subject = f"{type(network.inner).__name__} {network.fingerprint}"
    return replace(row, subject=subject, measurements=measured)


def text_table(record: EvaluationRecord) -> str:
    """Metric, value with its unit and interval, and how many images; notes below. A metric without
    a value says why.
    """
    (row,) = record.rows
    shown = [metric for metric in COLUMNS if metric in row.measurements]
    lines = [("metric", "value", "95 % interval", "n"), *(_line(row, each) for each in shown)]
    reasons = dict.fromkeys(
        row.measurements[each].protocol for each in shown if row.value(each) is None
    )
    head = f"{row.name}: {record.data}, {record.split}, preset {record.preset}, "
    counts = f"{record.n_train:,} train and {record.n_test:,} measured images"
    notes = [f"– {_names(row, shown, why)}: {why}" for why in reasons]
    return "\n".join([head + counts, "", *_aligned(lines), "", *notes, *record.notes])


def _line(row: Row, metric: str) -> tuple[str, str, str, str]:
    kind, found = metric_named(metric), value_and_interval(row, metric, " – ")
    if found is None:
        return kind.words, "–", "", ""
    value, interval = found
    return kind.words, f"{value} {kind.unit}".rstrip(), interval, f"{row.measurements[metric].n:,}"


def _names(row: Row, metrics: Sequence[str], why: str) -> str:
    """The metrics that a reason keeps from having a value."""
    kept = [
        each
        for each in metrics
        if row.value(each) is None and row.measurements[each].protocol == why
    ]
    return ", ".join(metric_named(each).words for each in kept)


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Words at the left, numbers and their intervals in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        cells = [each.rjust(width) for each, width in zip(rest, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _free_file(folder: Path, stem: str, record: EvaluationRecord, images: str) -> Path:
    """Where the record goes: never over a row of something else."""
    asked = (record.rows[0].subject, record.preset, record.data, record.split, record.seed)
    key = repr((*asked, record.n_train, record.n_test, images)).encode()
    digest = blake2b(key, digest_size=3).hexdigest()
    plainly = folder / f"{stem}.json"
    return plainly if _same(plainly, record) else folder / f"{stem}-{digest}.json"


def _same(file: Path, record: EvaluationRecord) -> bool:
    """Whether the file is free, damaged, or a measurement of the same."""
    names = ("preset", "data", "split", "seed", "n_train", "n_test")
    try:
        kept = read_json(file)
        same = all(kept.get(name) == getattr(record, name) for name in names)
        return same and kept["rows"][0]["subject"] == record.rows[0].subject
    except (MuseError, KeyError, IndexError, TypeError):
        return True


def _shareable(record: EvaluationRecord) -> Any:
    """The record without folders of this machine."""
    return _without_paths(plain(record))


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_paths(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    return without_machine_paths(value) if isinstance(value, str) else value
