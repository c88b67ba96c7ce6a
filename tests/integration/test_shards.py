"""A stage on tar shards: written from scenes and from photographs, in a mixture, resumed, and with
a shard cut short.
"""

from dataclasses import replace

import datasets
import pytest

from muse_core.callback import Callback
from muse_core.data import hub_stream
from muse_core.data.shard_writer import write_shards
from muse_core.data.sources import open_source
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError
from muse_core.training.stage_run import train_stage

from ..unit.data.parquets import write_parquet
from .micro import (
    IMAGE_SIZE,
    STAGES,
    last_training_state,
    micro_run,
    same,
    stopping_at,
    written_rows,
)


@pytest.fixture(params=["scenes", "pets"])
def spec(request, photographs) -> str:
    return {"scenes": "scenes", "pets": f"pets:{photographs / 'oxford_pets_seg'}"}[request.param]


def shards(spec: str, folder) -> str:
    """Four shards of five training samples, and six of all splits beside them."""
    sources = {split: open_source(spec, split, IMAGE_SIZE) for split in SPLITS}
    write_shards(spec, {"train": sources["train"]}, folder / "train", IMAGE_SIZE, 5, 20)
    write_shards(spec, sources, folder / "all", IMAGE_SIZE, 5, 10)
    return f"wds:{folder}/train/{{000000..000003}}.tar"


def test_a_stage_trains_on_shards_and_resumes_to_the_bit(micro, tmp_path, spec) -> None:
    data = shards(spec, tmp_path)
    name = spec.split(":")[0]
    whole = train_stage(micro_run(STAGES[0], f"{name}-shards", data=data)).record
    assert (
        whole.steps == 6
        and whole.files_skipped == []
        and (whole.captions_truncated == 0 or name == "pets")
    )
    stopped = micro_run(STAGES[0], f"{name}-shards-stopped", data=data)
    with pytest.raises(MuseError, match="Interrupted"):
        train_stage(stopped, [stopping_at(3, KeyboardInterrupt())])
    train_stage(replace(stopped, resume=True))
    first = replace(stopped, run=f"{name}-shards")
    assert written_rows(stopped) == written_rows(first)
    assert same(last_training_state(stopped), last_training_state(first)) == []


def test_a_mixture_with_a_shard_cut_short_trains_and_says_so(micro, tmp_path) -> None:
    data = shards("scenes", tmp_path)
    path = tmp_path / "train" / "000002.tar"
    path.write_bytes(path.read_bytes()[:-11_000])
    record = train_stage(micro_run(STAGES[0], "mixed", data=f"mix:3*{data},1*scenes")).record
    assert any("000002.tar" in note for note in record.files_skipped)
    assert record.data_fingerprint.startswith("mix/3*train/train/")


def test_shards_of_all_splits_are_held_apart(micro, tmp_path) -> None:
    shards("scenes", tmp_path)
    lengths = [
        len(open_source(f"wds:{tmp_path}/all/{{000000..000005}}.tar", split, IMAGE_SIZE))
        for split in SPLITS
    ]
    assert lengths == [10, 10, 10]


class Seen(Callback):
    """The names of all samples."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def on_batch(self, trainer, step, batch) -> None:
        self.ids += batch.ids


def test_a_stage_on_a_stream_resumes_without_reading_a_sample_twice(
    micro, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(hub_stream, "BUFFER", 8)
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    write_parquet(tmp_path / "set" / "0.parquet", 0, 120, 4)
    run, seen = micro_run(STAGES[0], "streamed", data=f"hf-stream:{tmp_path / 'set'}"), Seen()
    with pytest.raises(MuseError, match="Interrupted"):
        train_stage(run, [seen, stopping_at(3, KeyboardInterrupt())])
    record = train_stage(replace(run, resume=True), [seen]).record
    assert record.steps == 6 and record.files_skipped == []
    assert record.data_fingerprint.startswith("set/train/")
    assert len(seen.ids) == len(set(seen.ids)) == 6 * 4
