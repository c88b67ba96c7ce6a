import pickle

import fsspec
import numpy as np
import pytest

from muse_core.data import row_groups
from muse_core.data.decode import Unreadable
from muse_core.data.row_groups import RowGroupReader, read_footers
from muse_core.errors import MuseError

from .parquets import write_parquet

COLUMNS = ["image", "caption", "label"]


@pytest.fixture
def files(tmp_path) -> tuple[str, ...]:
    """Groups of 10, 10, 5 rows, and of 10, 10."""
    return (
        str(write_parquet(tmp_path / "set" / "a.parquet", 0, 25, 10)),
        str(write_parquet(tmp_path / "set" / "b.parquet", 25, 45, 10)),
    )


def test_footers_give_every_row_a_place(files) -> None:
    groups, schema = read_footers(files)
    assert [
        column.tolist() for column in (groups.file, groups.number, groups.first, groups.rows)
    ] == [
        [0, 0, 0, 1, 1],
        [0, 1, 2, 0, 1],
        [0, 10, 20, 0, 10],
        [10, 10, 5, 10, 10],
    ]
    assert (groups.bytes > 0).all() and groups.damage == () and "image" in schema.names


def test_rows_come_from_their_group_without_the_columns_that_are_not_read(files) -> None:
    groups, _ = read_footers(files)
    reader = RowGroupReader(groups, COLUMNS)
    row = reader.row(4, 3)
    assert row["caption"] == ["picture 38", "number 38"] and sorted(row) == sorted(COLUMNS)


def fetches(reader, monkeypatch) -> list[int]:
    """The groups that are fetched, in order."""
    fetched: list[int] = []
    fetch = reader._fetched
    monkeypatch.setattr(reader, "_fetched", lambda group: fetched.append(group) or fetch(group))
    return fetched


def test_a_group_is_fetched_once_and_let_go_after_its_last_row(files, monkeypatch) -> None:
    reader = RowGroupReader(read_footers(files)[0], COLUMNS)
    fetched = fetches(reader, monkeypatch)
    for number in np.random.default_rng(0).permutation(10):
        assert len(reader._held) <= 1
        reader.row(0, int(number))
    assert fetched == [0] and not reader._held


def test_no_more_groups_are_held_than_there_are_places(files, monkeypatch) -> None:
    reader = RowGroupReader(read_footers(files)[0], COLUMNS)
    reader.places = 2
    fetched = fetches(reader, monkeypatch)
    for number in range(5):
        for group in (0, 1, 2):
            reader.row(group, number)
            assert len(reader._held) <= 2
    assert len(fetched) == 15


def test_a_group_that_nobody_comes_back_to_is_let_go(files) -> None:
    reader = RowGroupReader(read_footers(files)[0], COLUMNS)
    reader.places = 2
    reader.row(0, 0)
    for turn in range(9):
        assert (0 in reader._held) is (turn <= 8)
        for number in range(10):
            reader.row(1, number)
    assert not reader._held


def test_places_follow_the_largest_group(files, monkeypatch) -> None:
    groups, _ = read_footers(files)
    assert RowGroupReader(groups, COLUMNS).places == 128
    monkeypatch.setattr(row_groups, "MOST_BYTES", 7 * int(groups.bytes.max()) + 1)
    assert RowGroupReader(groups, COLUMNS).places == 7


def test_a_group_that_is_too_large_is_a_sentence(files, monkeypatch) -> None:
    monkeypatch.setattr(row_groups, "LARGEST", 100)
    with pytest.raises(
        MuseError,
        match=r"A row group of .*a.parquet has .* more than the 100 .* use hf: instead of hf-stream:\.$",
    ):
        read_footers(files)


def test_what_is_held_stays_behind(files) -> None:
    reader = RowGroupReader(read_footers(files)[0], COLUMNS)
    reader.row(0, 0)
    copy = pickle.loads(pickle.dumps(reader))
    assert reader._held and not copy._held and copy.row(1, 0)["caption"][0] == "picture 10"


def test_a_local_file_that_is_no_parquet_is_left_out_and_said(files, tmp_path) -> None:
    (tmp_path / "set" / "c.parquet").write_bytes(b"no parquet")
    groups, schema = read_footers((str(tmp_path / "set" / "c.parquet"), *files))
    assert len(groups) == 5 and schema is not None and set(groups.file.tolist()) == {1, 2}
    assert len(groups.damage) == 1 and groups.damage[0].startswith("c.parquet: cannot be read: ")


def test_a_damaged_group_is_tried_once(files, monkeypatch) -> None:
    groups, _ = read_footers(files)
    with open(files[0], "r+b") as file:
        file.write(b"\xff" * 2000)
    reader = RowGroupReader(groups, COLUMNS)
    fetched = fetches(reader, monkeypatch)
    for number in range(3):
        with pytest.raises(Unreadable, match="cannot be read"):
            reader.row(0, number)
    assert fetched == [0] and reader.row(3, 0)["caption"][0] == "picture 25"


@pytest.fixture
def remote(files, monkeypatch):
    """``a.parquet`` on a file system that fails as often as ``remote.failures`` says; nobody waits
    for it.
    """
    monkeypatch.setattr(row_groups, "WAITS", (0.0, 0.0, 0.0))
    system = fsspec.filesystem("memory")
    with open(files[0], "rb") as file:
        system.pipe("/set/a.parquet", file.read())
    opened, state = (
        type(system)._open,
        type("State", (), {"failures": 0, "path": "memory://set/a.parquet"}),
    )

    def failing(self, *arguments, **options):
        state.failures -= 1
        if state.failures >= 0:
            raise ConnectionError("the line is dead.\nreally")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(type(system), "_open", failing)
    yield state
    system.rm("/set", recursive=True)


def test_a_remote_file_is_tried_again_and_then_stops_the_training(remote) -> None:
    groups, _ = read_footers((remote.path,))
    reader = RowGroupReader(groups, COLUMNS)
    remote.failures = 3
    assert reader.row(1, 2)["caption"][0] == "picture 12"
    remote.failures = 4
    with pytest.raises(
        MuseError,
        match=r"memory://set/a.parquet cannot be read \(the line is dead\): mend the network",
    ):
        reader.row(0, 0)
    assert reader.row(0, 0)["caption"][0] == "picture 0"


def test_a_remote_footer_out_of_reach_is_no_damage(remote) -> None:
    remote.failures = 99
    with pytest.raises(MuseError, match="cannot be read"):
        read_footers((remote.path,))
