import itertools
import json
import multiprocessing
import os

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from muse_core import paths
from muse_core.data import tar_cache as shard_cache
from muse_core.data import tar_index as indexing
from muse_core.data.tar_index import read_index
from muse_core.data.tar_offsets import ShardIndex, scanned

from .tars import numbered, picture, write_tar


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Three shards, the last one damaged; small ones are kept too, and this test's workspace is its
    own.
    """
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path / "workspace"))
    monkeypatch.setattr(shard_cache, "WORTH_KEEPING", 0)
    written = [
        write_tar(tmp_path / "pairs" / f"{shard}.tar", numbered(5 * shard, 5 * shard + 5))
        for shard in range(2)
    ]
    return (
        *written,
        write_tar(tmp_path / "pairs" / "2.tar", [("a.txt", b"alone"), ("b.png", picture())]),
    )


@pytest.fixture
def walks(monkeypatch) -> list:
    """The shards that were walked over, in order; every call of ``read_index`` is that of a new
    process.
    """
    walked: list = []
    monkeypatch.setattr(indexing, "scanned", lambda path: walked.append(path) or scanned(path))
    return walked


def read_anew(paths) -> ShardIndex:
    indexing._read_index.cache_clear()
    return read_index(paths)


def same(one: ShardIndex, other: ShardIndex) -> bool:
    columns = [name for name in vars(one) if isinstance(getattr(one, name), np.ndarray)]
    equal = [np.array_equal(getattr(one, name), getattr(other, name)) for name in columns]
    kinds = [getattr(one, name).dtype == getattr(other, name).dtype for name in columns]
    return (
        len(columns) == 6
        and all(equal + kinds)
        and (one.paths, one.damage) == (other.paths, other.damage)
    )


def files() -> list:
    return sorted(paths.shard_indexes().glob("*"))


def test_each_shard_is_walked_over_once_and_what_is_remembered_is_the_same(shards, walks) -> None:
    first = read_anew(shards)
    assert (
        sorted(walks) == sorted(shards)
        and len(files()) == 3
        and first.damage == ("pairs/2.tar: a has no image",)
    )
    again = read_anew(shards)
    assert len(walks) == 3 and same(first, again)
    assert read_index(shards) is again
    assert again.keys.flags.writeable is first.keys.flags.writeable


def test_a_shard_that_changed_is_read_anew_alone(shards, walks) -> None:
    read_anew(shards)
    state = shards[1].stat()
    write_tar(shards[1], numbered(7, 12))
    assert shards[1].stat().st_size == state.st_size
    os.utime(shards[1], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    walks.clear()
    assert read_anew(shards).keys[5:10].tolist() == [b"%04d" % number for number in range(7, 12)]
    assert walks == [shards[1]] and len(files()) == 3


def test_a_shard_that_is_written_while_it_is_read_is_not_remembered(shards, monkeypatch) -> None:
    def meanwhile(path):
        found = scanned(path)
        write_tar(path, numbered(0, 9))
        return found

    monkeypatch.setattr(indexing, "scanned", meanwhile)
    read_anew(shards[:1])
    assert files() == []


def test_a_copy_elsewhere_is_another_shard(shards, walks, tmp_path) -> None:
    read_anew(shards[:1])
    copy = tmp_path / "other" / "0.tar"
    copy.parent.mkdir()
    copy.write_bytes(shards[0].read_bytes())
    os.utime(copy, ns=(0, shards[0].stat().st_mtime_ns))
    assert read_anew((copy,)).paths == (copy,) and walks == [shards[0], copy]


def _cut(file) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def _no_file_of_ours(file) -> None:
    file.write_bytes(b"\x80\x04 something else")


def _nothing(file) -> None:
    file.write_bytes(b"")


def _a_bit(file) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _a_folder(file) -> None:
    file.unlink()
    file.mkdir()


def _of_another(file) -> None:
    other = next(each for each in files() if each != file)
    file.write_bytes(other.read_bytes())


def _changed(file, change) -> None:
    """The same tensors with another note, as safetensors writes it."""
    with safe_open(file, framework="pt") as opened:
        note = json.loads(opened.metadata()["note"])
    save_file(load_file(file), file, metadata={"note": change(note)})


def _other_damage(file) -> None:
    _changed(file, lambda note: json.dumps(note | {"damage": ["nothing"]}))


def _a_list_as_note(file) -> None:
    _changed(file, lambda note: "[]")


def _a_deep_note(file) -> None:
    _changed(file, lambda note: "[" * 100_000)


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _no_file_of_ours,
        _nothing,
        _a_bit,
        _of_another,
        _other_damage,
        _a_list_as_note,
        _a_deep_note,
        _a_folder,
    ],
)
def test_a_damaged_or_foreign_file_is_never_trusted_and_made_again(shards, walks, damage) -> None:
    first, file = read_anew(shards), shard_cache._file(shards[0])
    damage(file)
    walks.clear()
    assert same(read_anew(shards), first) and walks == [shards[0]]
    if (
        damage is not _a_folder
    ):  # nothing can be written over a folder: read anew each time, and no word about it
        assert same(read_anew(shards), first) and walks == [shards[0]]


def test_other_code_reads_everything_anew(shards, walks, monkeypatch) -> None:
    read_anew(shards)
    monkeypatch.setattr(shard_cache, "_code", lambda: b"of another day")
    read_anew(shards)
    assert len(walks) == 6


def test_a_disk_that_refuses_costs_nothing_but_time(shards, walks, tmp_path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "data").write_text("a file where the folder should be")
    first = read_anew(shards)
    assert same(read_anew(shards), first) and len(walks) == 6


def test_small_shards_leave_nothing_behind(shards, monkeypatch) -> None:
    monkeypatch.setattr(shard_cache, "WORTH_KEEPING", 1 << 20)
    read_anew(shards)
    assert not paths.shard_indexes().exists()


def test_a_shard_without_samples_is_remembered_too(shards, walks, tmp_path) -> None:
    empty = write_tar(tmp_path / "pairs" / "3.tar", [("a.txt", b"alone")])
    assert len(read_anew((empty,))) == 0 and len(read_anew((*shards, empty))) == 11
    assert walks.count(empty) == 1


def _in_a_process(shards, folder, start) -> None:
    walked = []
    indexing.scanned = lambda path: walked.append(path) or scanned(path)
    start.wait()
    index = read_anew(shards)
    (folder / f"{os.getpid()}.txt").write_text(
        f"{len(index)} {index.keys[-1].decode()} {len(walked)}"
    )


def test_processes_that_start_together_share_the_work(tmp_path, monkeypatch, shards) -> None:
    many = tuple(
        write_tar(tmp_path / "many" / f"{one:03d}.tar", numbered(one, one + 2)) for one in range(40)
    )
    (tmp_path / "said").mkdir()
    forked = multiprocessing.get_context("fork")
    start = forked.Event()
    started = [
        forked.Process(target=_in_a_process, args=(many, tmp_path / "said", start))
        for _ in range(4)
    ]
    for process in started:
        process.start()
    start.set()
    for process in started:
        process.join(60)
    said = [file.read_text().split() for file in (tmp_path / "said").iterdir()]
    assert [words[:2] for words in said] == [["80", "0040"]] * 4 and len(files()) == 40
    assert 40 <= sum(int(walked) for _, _, walked in said) < 3 * 40  # they share the work
    assert all(file.suffix == ".safetensors" for file in files())


def test_processes_take_the_shards_in_different_orders(shards, walks, tmp_path) -> None:
    many = tuple(
        write_tar(tmp_path / "many" / f"{one:03d}.tar", numbered(0, 1)) for one in range(20)
    )
    orders = []
    for _ in range(2):
        walks.clear()
        read_anew(many)
        orders.append(list(walks))
        for file in files():
            file.unlink()
    assert orders[0] != orders[1] and [sorted(order) for order in orders] == [list(many)] * 2
    assert all(a < b for a, b in itertools.pairwise(read_anew(many).shard.tolist()))
