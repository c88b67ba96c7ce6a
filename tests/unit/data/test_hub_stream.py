from itertools import chain

import datasets
import pytest

from muse_core.data import hub_stream
from muse_core.data.hub_stream import open_hub_stream
from muse_core.data.loader import training_batches
from muse_core.data.reading import WORDLESS
from muse_core.data.sources import open_source
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .parquets import numbers, write_parquet
from .tars import picture

pytestmark = pytest.mark.usefixtures("no_hub")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """Two files with 12 row groups of ten rows each."""
    folder = tmp_path_factory.mktemp("streams") / "set"
    write_parquet(folder / "a.parquet", 0, 120, 10)
    write_parquet(folder / "more" / "b.parquet", 120, 240, 10)
    return str(folder)


@pytest.fixture
def small_buffer(monkeypatch) -> None:
    monkeypatch.setattr(hub_stream, "BUFFER", 20)


def read(batches) -> list[int]:
    return [number for batch in batches for number in numbers(batch.to("cpu"))]


def test_a_hash_of_the_images_makes_three_splits_of_one(folder) -> None:
    sources = [open_source(f"hf-stream:{folder}", split, 8) for split in SPLITS]
    found = [numbers(source.first(240)) for source in sources]
    assert sorted(chain(*found)) == list(range(240)) and all(found) and len(found[0]) > 160
    assert sources[0].class_names == ("even", "odd")
    batch = sources[0].first(3)
    assert batch.captions == tuple(f"picture {number}" for number in found[0][:3])
    assert found[0] != sorted(found[0]), "its first samples are of many places"


def test_its_own_splits_are_kept(tmp_path) -> None:
    write_parquet(tmp_path / "set" / "train-00000.parquet", 0, 20, 5)
    write_parquet(tmp_path / "set" / "validation-00000.parquet", 20, 30, 5)
    place = str(tmp_path / "set")
    for split, expected in {"train": range(20), "val": range(20, 30)}.items():
        assert sorted(numbers(open_hub_stream(place, split, 8).first(99))) == list(expected)
    with pytest.raises(MuseError, match=r"no images for the split 'test' \(it has: train, val\)"):
        open_hub_stream(place, "test", 8)


def test_evaluations_see_the_first_samples(folder, monkeypatch) -> None:
    monkeypatch.setattr(hub_stream, "HEAD", 30)
    source = open_hub_stream(folder, "train", 8)
    assert len(source) == 30 and len(source.first(99)) == 30
    assert source.first(5).ids == open_hub_stream(folder, "train", 8).first(5).ids
    steps = 160 // 8
    assert len(set(read(training_batches(source, 8, 0, 0, steps)))) == 160, "training sees all"


def test_the_fingerprint_says_what_is_read(folder, tmp_path) -> None:
    def fingerprint(split="train", size=8, place=folder) -> str:
        return open_hub_stream(place, split, size).fingerprint

    write_parquet(tmp_path / "set" / "a.parquet", 0, 120, 10)
    other = fingerprint(place=str(tmp_path / "set"))
    seen = {fingerprint(), fingerprint(), fingerprint("val"), fingerprint(size=16), other}
    assert len(seen) == 4 and not any(folder in name for name in seen)


@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (1, 2), (2, 0), (2, 1), (3, 0)])
def test_no_sample_is_read_twice_in_an_epoch(folder, small_buffer, processes, workers) -> None:
    """Each process for as many steps as its share has."""
    source, found = open_hub_stream(folder, "train", 8), []
    for rank in range(processes):
        batches = training_batches(source, 4 * processes, 7, 0, 1000, rank, processes, workers)
        own = []
        for batch in batches:
            if batches.share.epoch == 1:
                break
            own.append(batch)
        assert all(len(batch) == 4 for batch in own)
        found += read(own)
    lost = 4 * processes * max(1, workers)
    assert len(found) == len(set(found)) > len(source) - lost


def test_an_epoch_has_its_own_order_and_captions(folder, small_buffer) -> None:
    source = open_hub_stream(folder, "train", 8)
    steps = len(source) // 8
    batches = [batch.to("cpu") for batch in training_batches(source, 8, 0, 0, 2 * steps)]
    one, two = batches[:steps], batches[steps:]
    assert read(one) != read(two) and len(set(read(one)) & set(read(two))) > 7 * steps
    said = [
        {name: words for batch in part for name, words in zip(batch.ids, batch.captions)}  # noqa: B905
        for part in (one, two)
    ]
    assert all(said[0][name] != said[1][name] for name in said[0].keys() & said[1].keys())
    assert read(training_batches(source, 8, 0, 0, steps)) == read(one), "the same seed"
    assert read(training_batches(source, 8, 1, 0, steps)) != read(one)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stage_reads_no_sample_of_the_epoch_again(folder, small_buffer, workers) -> None:
    source = open_hub_stream(folder, "train", 8)
    stopped = training_batches(source, 8, 7, 0, 1000, workers=workers)
    before = []
    for batch in stopped:
        before += numbers(batch.to("cpu"))
        if len(before) == 80:
            break
    state = stopped.state_dict()
    resumed = training_batches(source, 8, 7, 10, 1000, workers=workers)
    resumed.load_state_dict(state)
    after = []
    for batch in resumed:
        if resumed.share.epoch > state["epoch"]:
            break
        after += numbers(batch.to("cpu"))
    assert len(after) > 20 and len({*before, *after}) == len(before) + len(after)


def test_a_state_of_other_processes_begins_a_fresh_epoch(folder, small_buffer) -> None:
    source = open_hub_stream(folder, "train", 8)
    stopped = training_batches(source, 8, 7, 0, 4)
    first = read(stopped)
    resumed = training_batches(source, 8, 7, 4, 8, rank=0, processes=2)
    resumed.load_state_dict(stopped.state_dict())
    assert resumed.share.epoch == 4 and read(resumed)[:4] != first[:4]


def test_a_damaged_image_is_left_out_and_listed(tmp_path) -> None:
    rows = [{"bytes": b"broken", "path": None}] * 8
    table = datasets.Dataset.from_dict({"image": rows, "text": ["a"] * 8})
    (tmp_path / "set").mkdir()
    table.to_parquet(tmp_path / "set" / "bad-train.parquet")
    write_parquet(tmp_path / "good" / "a.parquet", 0, 40, 10)
    features = datasets.Features(image=datasets.Image(), text=datasets.Value("string"))
    good = datasets.Dataset.from_parquet(str(tmp_path / "good" / "a.parquet"))
    mixed = {"image": [*rows, *good.cast_column("image", datasets.Image(decode=False))["image"]]}
    mixed["text"] = ["a"] * len(mixed["image"])
    datasets.Dataset.from_dict(mixed, features=features).to_parquet(
        tmp_path / "set" / "bad-train.parquet"
    )
    source = open_hub_stream(str(tmp_path / "set"), "train", 8)
    batches = list(training_batches(source, 4, 0, 0, 7))
    assert all(len(batch) == 4 for batch in batches)
    notes = {note.split(" (")[1] for batch in batches for note in batch.skipped}
    assert notes <= {"not an image in a format that is read)"}


def test_what_cannot_be_streamed_is_one_sentence(folder, tmp_path) -> None:
    folders = {name: tmp_path / name for name in ("empty", "text", "words", "cut")}
    for each in folders.values():
        each.mkdir()
    (folders["text"] / "0.parquet").write_text("no parquet")
    datasets.Dataset.from_dict({"words": ["a"] * 3}).to_parquet(folders["words"] / "0.parquet")
    for place, sentence in {
        str(folders["empty"]): "hf-stream:.* cannot be opened",
        "nobody/nothing-of-this-name": r"hf-stream:nobody.* cannot be opened \(.*\): give a folder",
        str(folders["text"]): r"hf-stream:.*text cannot be opened \(",
        str(folders["words"]): r"has no column of images \(it has: words\)",
    }.items():
        with pytest.raises(MuseError, match=sentence) as caught:
            open_hub_stream(place, "train", 8)
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    cut = write_parquet(folders["cut"] / "0.parquet", 0, 40, 10)
    source = open_hub_stream(str(folders["cut"]), "train", 8)
    content = bytearray(cut.read_bytes())
    content[: len(content) // 2] = b"\xff" * (len(content) // 2)
    cut.write_bytes(content)
    with pytest.raises(MuseError, match=r"^The data set hf-stream:cut cannot be opened \("):
        list(training_batches(source, 4, 0, 0, 9))
    tiny = open_hub_stream(folder, "train", 8)
    with pytest.raises(MuseError, match=r"fewer images .* than one batch of each reader"):
        list(training_batches(tiny, 512, 0, 0, 9))


def test_a_stream_trains_alone(folder) -> None:
    with pytest.raises(MuseError, match="has a part that is streamed, set: a stream trains alone"):
        open_source(f"mix:1*scenes,1*hf-stream:{folder}", "train", 8)


def test_rows_without_words_are_said(tmp_path) -> None:
    rows = {
        "image": [{"bytes": picture((n, 0, 0)), "path": None} for n in range(40)],
        "caption": ["a"] * 39 + [" "],
    }
    table = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    (tmp_path / "x").mkdir()
    table.to_parquet(tmp_path / "x" / "0.parquet")
    sources = [open_hub_stream(str(tmp_path / "x"), split, 8) for split in SPLITS]
    said = [source.first(len(source)).skipped for source in sources]
    assert sum(map(len, sources)) == 40 and sum(WORDLESS in one for one in said) == 1
