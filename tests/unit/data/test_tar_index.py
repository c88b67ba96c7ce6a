import io
import os
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core import paths
from muse_core.data import tar_index
from muse_core.data.tar_index import ShardIndex, read_index, scanned
from muse_core.errors import MuseError

from .tars import add, numbered, picture, write_tar

DAMAGED = "damaged or cut short"


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Three shards, the last one with a sample less; small ones are kept too, and this test's
    workspace is its own.
    """
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path / "workspace"))
    monkeypatch.setattr(tar_index, "WORTH_KEEPING", 0)
    written = [
        write_tar(tmp_path / "pairs" / f"{shard}.tar", numbered(5 * shard, 5 * shard + 5))
        for shard in range(2)
    ]
    odd = [("a.txt", b"alone"), ("b.png", picture())]
    return (*written, write_tar(tmp_path / "pairs" / "2.tar", odd))


@pytest.fixture
def walks(monkeypatch) -> list:
    """The shards that were walked over, in order."""
    walked: list = []
    monkeypatch.setattr(tar_index, "scanned", lambda path: walked.append(path) or scanned(path))
    return walked


def read_anew(shards) -> ShardIndex:
    """As a new process reads it."""
    tar_index._read_index.cache_clear()
    return read_index(shards)


def same(one: ShardIndex, other: ShardIndex) -> bool:
    equal = np.array_equal(one.samples, other.samples)
    return equal and (one.paths, one.notes) == (other.paths, other.notes)


def files() -> list:
    return sorted(paths.shard_indexes().glob("*"))


def members(path) -> tuple[list[tuple[str, bytes]], tuple[str, ...]]:
    """(key, bytes of the image) of each sample, and the notes."""
    index = scanned(path)
    with path.open("rb") as file:
        return [
            (
                row["key"].decode("utf-8", "surrogateescape"),
                os.pread(file.fileno(), int(row["size"][0]), int(row["offset"][0])),
            )
            for row in index.samples
        ], index.notes.lines()


IMAGES = [("a/0001", b"x" * 700), ("0002", b"z"), ("0003", b"y" * 512)]
FILES = [(f"{key}.jpg", content) for key, content in IMAGES]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_samples_lie_where_tarfile_wrote_them(tmp_path, form) -> None:
    assert members(write_tar(tmp_path / "a.tar", FILES, form)) == (IMAGES, ())


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names(tmp_path, form) -> None:
    images = [("f" * 60 + "/" + "é" * 70, b"1"), ("short", b"2")]
    written = [(f"{key}.jpg", content) for key, content in images]
    assert members(write_tar(tmp_path / "a.tar", written, form)) == (images, ())


def test_what_belongs_to_a_sample(tmp_path) -> None:
    index = scanned(write_tar(tmp_path / "a.tar", numbered(3, 5)))
    assert index.samples["key"].tolist() == [b"0003", b"0004"]
    assert index.samples["label"].tolist() == [0, 1]
    assert (index.samples["offset"] > 0).tolist() == [[True, True, False, True, False]] * 2
    assert index.samples.itemsize < 100, "no pixels"


def test_nothing_but_regular_files(tmp_path) -> None:
    bad = {
        "link.jpg": dict(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "hard.jpg": dict(type=tarfile.LNKTYPE, linkname="0001.jpg"),
        "device.jpg": dict(type=tarfile.CHRTYPE),
        "pipe.jpg": dict(type=tarfile.FIFOTYPE),
    }
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "folder", type=tarfile.DIRTYPE)
        for name, fields in bad.items():
            add(tar, name, **fields)
        add(tar, "good.jpg", b"1")
    found, notes = members(tmp_path / "a.tar")
    assert found == [("good", b"1")]
    where = f"{tmp_path.name}/a.tar"
    assert notes == (
        f"4 members without bytes (a link or a device), the first is {where}/link.jpg: store the file itself",
    )


def test_a_cut_at_any_place_keeps_what_is_whole_and_is_said(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    whole, end = path.read_bytes(), 512 * (3 + 2 + 1 + 1)
    for length in [*range(0, end, 100), end]:
        path.write_bytes(whole[:length])
        found, notes = members(path)
        assert found == IMAGES[: len(found)] and any(DAMAGED in note for note in notes)
        assert len(found) == sum(length >= need for need in (512 + 700, 2048 + 1, 3072 + 512))


@pytest.mark.parametrize("byte", [b"\xff", b"\0"])
def test_damage_ends_a_shard_and_is_said(tmp_path, byte) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    content = bytearray(path.read_bytes())
    content[1536:2048] = byte * 512
    path.write_bytes(content)
    found, notes = members(path)
    assert found == IMAGES[:1] and len(notes) == 1 and "behind byte 1,536" in notes[0]


def test_a_size_below_zero_is_damage_and_no_endless_loop(tmp_path) -> None:
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + write_tar(tmp_path / "b.tar", FILES).read_bytes())
    found, notes = members(path)
    assert found == [] and any(DAMAGED in note for note in notes)


def _bytes_of(written: list[tuple[str, bytes]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in [*written, ("é" * 80 + ".jpg", b"long")]:
            add(tar, name, data)
    return content.getvalue()


@given(st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_end_without_an_error(tmp_path, data) -> None:
    content = bytearray(_bytes_of(FILES))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=20))
        content[place : place + len(piece)] = piece
    (tmp_path / "a.tar").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert len(members(tmp_path / "a.tar")[0]) <= 6


def test_members_that_are_too_large_or_double_are_noted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tar_index, "MOST_BYTES", 1000)
    written = [
        ("1.png", picture()),
        ("1.png", picture()),
        ("1.txt", b"x" * 1001),
        ("1.cls", b"-3"),
        ("2.txt", b"alone"),
    ]
    index = read_index((write_tar(tmp_path / "x" / "0.tar", written),))
    assert len(index.samples) == 1 and index.notes.lines() == (
        "1 image beside another of its sample: x/0.tar/1.png; mend it",
        "1 member with more than 1,000 bytes: x/0.tar/1.txt; mend it",
        "1 label without a class number or name: x/0.tar/1.cls; mend it",
        "1 sample without an image: x/0.tar/2; add its image",
    )


def test_notes_do_not_grow_without_end(tmp_path) -> None:
    many = [(f"{number}.txt", b"") for number in range(300)]
    notes = scanned(write_tar(tmp_path / "x" / "0.tar", many)).notes.lines()
    assert notes[0] == "300 samples without an image, the first is x/0.tar/0: add its image"
    assert len(notes) == 2


def test_words_behind_the_images_find_them_and_a_second_image_is_noted(tmp_path) -> None:
    written = [("a.png", picture()), ("b.PNG", picture()), ("a.cls", b"\xef\xbb\xbf3")]
    written += [("b.txt", b"words"), ("a.txt", b"words"), ("b.jpg", picture())]
    index = scanned(write_tar(tmp_path / "x" / "0.tar", written))
    assert index.samples["label"].tolist() == [3, -1, -1]
    assert (index.samples["offset"][:, 1] > 0).tolist() == [True, True, False]


def test_a_name_ends_at_its_last_known_ending_where_its_first_dot_gives_no_sample(tmp_path) -> None:
    written = [("v1.5.jpg", b"1"), ("v1.5.seg.png", b"2"), ("v1.5.txt", b"3"), ("x/y.z.tiff", b"4")]
    written += [("c.jpg", b"5"), ("c.thumb.jpg", b"6"), ("._c.jpg", b"7"), ("c.heic", b"8")]
    index = scanned(write_tar(tmp_path / "x" / "0.tar", written))
    assert index.samples["key"].tolist() == [b"v1.5", b"x/y.z", b"c"]
    assert (index.samples["offset"][0] > 0).tolist() == [True, True, False, True, False]
    assert [line.split(",")[0].split(":")[0] for line in index.notes.lines()] == [
        "2 members of a kind that is not read (.jpg)",
        "1 member of a kind that is not read (.heic)",
    ]


def test_each_shard_is_walked_over_once_and_what_is_kept_is_the_same(shards, walks) -> None:
    first = read_anew(shards)
    assert sorted(walks) == sorted(shards) and len(files()) == 3
    assert first.notes.lines() == ("1 sample without an image: pairs/2.tar/a; add its image",)
    assert first.samples["shard"].tolist() == [0] * 5 + [1] * 5 + [2]
    again = read_anew(shards)
    assert len(walks) == 3 and same(first, again) and read_index(shards) is again


def test_a_shard_that_changed_is_read_anew_alone(shards, walks) -> None:
    read_anew(shards)
    state = shards[1].stat()
    write_tar(shards[1], numbered(7, 12))
    os.utime(shards[1], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    walks.clear()
    keys = read_anew(shards).samples["key"][5:10].tolist()
    assert keys == [b"%04d" % number for number in range(7, 12)] and walks == [shards[1]]


def test_a_shard_that_is_written_while_it_is_read_is_not_kept(shards, monkeypatch) -> None:
    def meanwhile(path):
        found = scanned(path)
        write_tar(path, numbered(0, 9))
        return found

    monkeypatch.setattr(tar_index, "scanned", meanwhile)
    read_anew(shards[:1])
    assert files() == []


def _cut(file) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def _something_else(file) -> None:
    file.write_bytes(b"\x80\x04 something else")


def _a_folder(file) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [_cut, _something_else, _a_folder])
def test_a_damaged_file_is_never_trusted_and_made_again(shards, walks, damage) -> None:
    first = read_anew(shards[:1])
    damage(files()[0])
    walks.clear()
    assert same(read_anew(shards[:1]), first) and walks == [shards[0]]
    assert same(read_anew(shards[:1]), first)
    assert len(walks) == (2 if damage is _a_folder else 1)


def test_a_disk_that_refuses_costs_nothing_but_time(shards, walks, tmp_path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "data").write_text("a file where the folder should be")
    first = read_anew(shards)
    assert same(read_anew(shards), first) and len(walks) == 6


def test_small_shards_leave_nothing_behind(shards, monkeypatch) -> None:
    monkeypatch.setattr(tar_index, "WORTH_KEEPING", 1 << 20)
    read_anew(shards)
    assert not paths.shard_indexes().exists()


def test_a_shard_that_is_absent_or_no_file_is_a_sentence(tmp_path) -> None:
    with pytest.raises(MuseError, match=r"There is no shard .*0.tar: check the pattern"):
        read_index((tmp_path / "0.tar",))
    with pytest.raises(MuseError, match=r"The shard .* cannot be read"):
        scanned(tmp_path)
