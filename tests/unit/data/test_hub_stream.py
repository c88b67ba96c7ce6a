from collections import Counter
from itertools import chain
from types import SimpleNamespace

import datasets
import fsspec
import pytest
import torch
from datasets import NamedSplit

from muse_core.data import hub_stream, row_groups
from muse_core.data.hub_stream import HubStream, open_hub_stream
from muse_core.data.lanes import STEPS, pieces_of
from muse_core.data.loader import EpochOrder, training_batches
from muse_core.data.sources import open_source
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .parquets import FEATURES, numbers, write_parquet
from .tars import picture, write_tar

pytestmark = pytest.mark.usefixtures("no_hub")


@pytest.fixture
def folder(tmp_path) -> str:
    """Two files with 60 row groups of five rows each."""
    write_parquet(tmp_path / "set" / "a.parquet", 0, 300, 5)
    write_parquet(tmp_path / "set" / "more" / "b.parquet", 300, 600, 5)
    return str(tmp_path / "set")


@pytest.fixture
def drawn(tmp_path, save) -> str:
    """Sixty pictures of one class."""
    for number in range(60):
        save(tmp_path / "drawn" / "train" / "cat" / f"{number}.png", size=(8, 8))
    return str(tmp_path / "drawn")


@pytest.fixture
def few_places(monkeypatch) -> None:
    """Readers that hold sixteen row groups at most, so that the folder's are many."""
    monkeypatch.setattr(row_groups, "MOST_LANES", 16)


def everything(source) -> list[int]:
    batch = source.__getitems__(list(range(len(source))))
    assert batch.skipped == ()
    return numbers(batch)


def test_whole_row_groups_are_dealt_to_three_splits(folder) -> None:
    sources = [open_source(f"hf-stream:{folder}", split, 8) for split in SPLITS]
    read = [everything(source) for source in sources]
    assert sorted(chain(*read)) == list(range(600)) and all(read)
    groups = [{number // 5 for number in part} for part in read]
    assert sum(map(len, groups)) == 120 and len(groups[0]) > 80
    assert sources[0].class_names == ("even", "odd")
    assert (
        sources[0]
        .sample_id(read[0].index(next(n for n in read[0] if n >= 300)))
        .startswith("set/more/b.parquet#")
    )


def test_its_own_splits_are_kept(tmp_path) -> None:
    write_parquet(tmp_path / "set" / "train-00000.parquet", 0, 20, 5)
    write_parquet(tmp_path / "set" / "validation-00000.parquet", 20, 30, 5)
    place = str(tmp_path / "set")
    assert sorted(everything(open_hub_stream(place, "train", 8))) == list(range(20))
    assert sorted(everything(open_hub_stream(place, "val", 8))) == list(range(20, 30))
    with pytest.raises(MuseError, match=r"no images for the split 'test' \(it has: train, val\)"):
        open_hub_stream(place, "test", 8)


def test_another_file_moves_no_row_group(folder, tmp_path) -> None:
    before = set(everything(open_hub_stream(folder, "train", 8)))
    write_parquet(tmp_path / "set" / "0.parquet", 600, 650, 10)
    assert before <= set(everything(open_hub_stream(folder, "train", 8)))


def test_the_fingerprint_says_what_is_read(folder, tmp_path) -> None:
    def fingerprint(split="train", size=8, seed=0) -> str:
        return open_hub_stream(folder, split, size, seed).fingerprint

    seen = {
        fingerprint(),
        fingerprint(),
        fingerprint("val"),
        fingerprint(size=16),
        fingerprint(seed=1),
    }
    assert len(seen) == 4 and not any(folder in name for name in seen)
    assert open_hub_stream(folder, "train", 8).described().fingerprint not in seen
    write_parquet(tmp_path / "set" / "a.parquet", 0, 300, 12)
    assert fingerprint() not in seen


def order(source, batch_size, seed, epoch=0) -> list[int]:
    steps = len(source) // batch_size
    made = EpochOrder(
        len(source), batch_size, seed, epoch * steps, (epoch + 1) * steps, shuffled=source.shuffled
    )
    return list(chain(*made))


def test_the_order_is_a_fresh_permutation_of_seed_and_epoch(folder, few_places) -> None:
    source = open_hub_stream(folder, "train", 8)
    whole = [order(source, 1, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert source.places == 16 and all(sorted(each) == list(range(len(source))) for each in whole)
    assert (
        whole[0] == order(source, 1, 0)
        and whole[0] != whole[1]
        and whole[0] != whole[2]
        and whole[1] != whole[2]
    )


def test_a_step_mixes_row_groups_and_their_rows(folder, few_places) -> None:
    source = open_hub_stream(folder, "train", 8)
    epoch = order(source, 16, 0)
    groups = [source._at(index)[0] for index in epoch]
    pieces = pieces_of(16, 16)
    assert pieces == 2 and all(
        len(set(groups[step : step + 16])) >= pieces for step in range(0, len(epoch) - 100, 16)
    )
    assert len(set(groups[: 16 * STEPS])) >= 2 * STEPS
    rows = [source._at(index)[1] for index in epoch if source._at(index)[0] == groups[0]]
    assert sorted(rows) == list(range(5)) != rows


def test_a_split_that_a_reader_holds_whole_is_shuffled_as_every_other(folder) -> None:
    source = open_hub_stream(folder, "train", 8)
    assert source.places is None and order(source, 16, 5) == list(
        chain(*EpochOrder(len(source), 16, 5, 0, len(source) // 16))
    )


def counted(monkeypatch) -> Counter:
    """How often each row group is fetched, by any reader."""
    fetched: Counter = Counter()
    fetch = row_groups.RowGroupReader._fetched
    monkeypatch.setattr(
        row_groups.RowGroupReader,
        "_fetched",
        lambda self, group: fetched.update([group]) or fetch(self, group),
    )
    return fetched


@pytest.mark.parametrize(
    ("processes", "workers"), [(1, 1), (2, 1), (1, 2), (1, 4), (2, 2), (2, 4), (2, 8)]
)
def test_readers_share_the_row_groups(folder, few_places, monkeypatch, processes, workers) -> None:
    """Each of processes x workers, one after the other with a reader of its own: what it reads,
    fetches and holds.
    """
    fetched, read, most = counted(monkeypatch), [], 0
    whole = open_hub_stream(folder, "train", 8)
    steps, groups = len(whole) // 16, len(whole.chosen)
    shortest = min(map(len, whole.lanes(16, torch.Generator().manual_seed(3 * 100_003))))
    even = 16 * (shortest // 8 * 8) // 16  # steps in which all lanes go on
    for rank in range(processes):
        for worker in range(workers):
            source = open_hub_stream(folder, "train", 8)
            made = EpochOrder(len(source), 16, 3, 0, steps, rank, processes, source.shuffled)
            for step, batch in list(enumerate(made))[worker::workers]:
                read += numbers(source.__getitems__(batch))
                most = max(most, len(source.reader._held)) if step < even else most
    assert len(read) == len(set(read)) == 16 * steps
    assert most <= 16 // (processes * workers) and even > steps // 2
    assert groups - 3 <= len(fetched) <= groups  # the last incomplete batch is left out
    assert (
        sum(fetched.values()) <= groups + 2 * 16
    )  # what is left of a lane at the end may go to two others


@pytest.mark.parametrize(("processes", "workers"), [(3, 1), (1, 3), (3, 5)])
def test_numbers_that_do_not_divide_cost_fetches_and_nothing_else(
    folder, few_places, processes, workers
) -> None:
    steps = len(open_hub_stream(folder, "train", 8)) // 12
    source = open_hub_stream(folder, "train", 8)
    shares = [
        list(EpochOrder(len(source), 12, 3, 0, steps, rank, processes, source.shuffled))
        for rank in range(processes)
    ]
    alone = list(EpochOrder(len(source), 12, 3, 0, steps, shuffled=source.shuffled))
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == alone


def test_a_loader_with_workers_resumes_and_reads_each_sample_once(folder, few_places) -> None:
    """Two processes of two workers, stopped in between: together one epoch, none twice, in the
    order of one process.
    """
    source = open_hub_stream(folder, "train", 8)
    source.first(3)  # what this process holds does no harm to those it forks
    steps = len(source) // 16
    shares = [
        [
            batch.to("cpu").ids
            for start, stop in ((0, 9), (9, steps))
            for batch in training_batches(source, 16, 7, start, stop, rank, 2, workers=2)
        ]
        for rank in (0, 1)
    ]
    read = [name for pair in zip(*shares, strict=True) for ids in pair for name in ids]
    assert len(read) == len(set(read)) == 16 * steps
    assert read == [source.sample_id(index) for index in order(source, 16, 7)]


def test_a_resumed_stage_fetches_no_row_group_that_is_done(folder, few_places, monkeypatch) -> None:
    fetched = counted(monkeypatch)
    source = open_hub_stream(folder, "train", 8)
    steps = len(source) // 16
    for batch in training_batches(source, 16, 7, steps - 2, steps):
        numbers(batch)
    assert len(fetched) <= 2 * 16


def test_evaluation_in_order_holds_one_row_group(folder, monkeypatch) -> None:
    fetched, source = counted(monkeypatch), open_hub_stream(folder, "val", 8)
    for first in range(0, len(source), 5):
        source.__getitems__(list(range(first, first + 5)))
        assert len(source.reader._held) <= 1
    assert set(fetched.values()) == {1} and len(fetched) == len(source) // 5


def test_a_mixture_deals_whole_row_groups_too(folder, drawn, few_places, monkeypatch) -> None:
    fetched = counted(monkeypatch)
    mixture = open_source(f"mix:3*hf-stream:{folder},1*folder:{drawn}", "train", 8)
    source = mixture.corpora[0].source
    epoch = order(mixture, 16, 0)
    assert mixture.places == source.places == 16 and len(set(epoch)) == len(epoch)
    corpora, positions = (column[epoch] for column in mixture.order)
    assert Counter(positions[corpora == 0].tolist()).most_common(1)[0][1] == 1
    shares = [(corpora[first : first + 64] == 0).mean() for first in range(0, len(epoch) - 200, 64)]
    assert len(shares) > 4 and all(0.7 <= share <= 0.8 for share in shares)
    for batch in list(
        EpochOrder(len(mixture), 16, 0, 0, len(epoch) // 32, shuffled=mixture.shuffled)
    )[::STEPS]:
        mixture.__getitems__(batch)
        assert len(source.reader._held) <= 2  # of one worker of eight
    assert max(fetched.values()) == 1


def test_a_small_stream_repeats_in_a_mixture(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(row_groups, "MOST_LANES", 8)
    write_parquet(tmp_path / "set" / "a.parquet", 0, 40, 2)
    mixture = open_source(f"mix:1*hf-stream:{tmp_path / 'set'},1*scenes", "train", 32)
    stream = mixture.corpora[0].source
    epoch = order(mixture, 4, 0)
    corpora, positions = (column[epoch] for column in mixture.order)
    seen = Counter(positions[corpora == 0].tolist())
    assert sorted(epoch) == list(range(len(epoch))) and set(seen) == set(range(len(stream)))
    assert max(seen.values()) - min(seen.values()) <= 1


def test_a_hub_name_is_read_through_its_file_system(folder, monkeypatch) -> None:
    system = fsspec.filesystem("memory")
    for file in ("a.parquet", "more/b.parquet"):
        with open(f"{folder}/{file}", "rb") as local:
            system.pipe(f"/owner/{file}", local.read())
    files = {NamedSplit("train"): ["memory://owner/a.parquet", "memory://owner/more/b.parquet"]}
    asked: list = []

    def builder(*names):
        asked.append(names)
        return SimpleNamespace(
            name="parquet",
            config=SimpleNamespace(data_files=files),
            info=SimpleNamespace(features=FEATURES),
        )

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    source = open_source("hf-stream:owner/pictures:small", "train", 8)
    assert asked == [("owner/pictures", "small")] and isinstance(source, HubStream)
    assert len(everything(source)) == len(source) > 400
    system.rm("/owner", recursive=True)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("hf://datasets/owner/pictures@0123abc/data/train-0.parquet", "data/train-0.parquet"),
        (
            "hf://datasets/owner/pictures@refs%2Fconvert%2Fparquet/small/0.parquet",
            "small/0.parquet",
        ),
        ("https://example.org/x.parquet", "https://example.org/x.parquet"),
    ],
)
def test_a_file_is_called_the_same_in_every_revision(path, name) -> None:
    assert hub_stream._name(path, None) == name


def test_a_damaged_file_is_left_out_and_listed(folder, tmp_path) -> None:
    path = tmp_path / "set" / "more" / "b.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    sources = [open_hub_stream(folder, split, 8) for split in SPLITS]
    assert sum(map(len, sources)) == 300
    assert all(
        source.first(1).skipped[0].startswith("b.parquet: cannot be read") for source in sources
    )


def test_a_damaged_row_group_is_replaced_and_listed(folder, tmp_path) -> None:
    sources = [open_hub_stream(folder, split, 8) for split in SPLITS]
    with open(tmp_path / "set" / "a.parquet", "r+b") as file:
        file.write(b"\xff" * 1500)
    batches = [source.__getitems__(list(range(len(source)))) for source in sources]
    lost = {note.split(" ")[0] for batch in batches for note in batch.skipped}
    assert 0 < len(lost) <= 20 and lost == {f"set/a.parquet#{row}" for row in range(len(lost))}
    assert len(lost) % 5 == 0 and sum(map(len, batches)) == 600
    assert not lost & {name for batch in batches for name in batch.ids}


def test_what_cannot_be_streamed_is_one_sentence(tmp_path) -> None:
    folders = {name: tmp_path / name for name in ("empty", "tars", "csv", "text", "words")}
    for each in folders.values():
        each.mkdir()
    write_tar(folders["tars"] / "0.tar", [("a.png", picture())])
    (folders["csv"] / "0.csv").write_text("a,b\n")
    (folders["text"] / "0.parquet").write_text("no parquet")
    datasets.Dataset.from_dict({"words": ["a"] * 3}).to_parquet(folders["words"] / "0.parquet")
    for place, sentence in {
        str(folders["empty"]): "hf-stream:.* cannot be opened",
        "nobody/nothing-of-this-name": r"hf-stream:nobody.* cannot be opened \(.*\): give a folder with parquet files",
        str(
            folders["tars"]
        ): f"holds tar shards and no parquet: read it with wds:{folders['tars']}",
        str(folders["csv"]): f"holds csv files and no parquet: read it with hf:{folders['csv']}",
        str(
            folders["text"]
        ): r"has nothing to read \(0.parquet: cannot be read: .*\): download it again",
        str(folders["words"]): r"has no column of images \(it has: words\)",
    }.items():
        with pytest.raises(MuseError, match=sentence) as caught:
            open_hub_stream(place, "train", 8)
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
