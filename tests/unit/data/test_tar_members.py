import io
import os
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core.data.tar_members import Member, Refused, tar_members

from .tars import add, write_tar

FILES = [("a/0001.jpg", b"x" * 700), ("0002.txt", b""), ("0003.png", b"y" * 512)]


def walked(path) -> tuple[dict[str, bytes], list[str]]:
    """{name: content} of the members, and what was refused."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = list(tar_members(descriptor))
        members = {
            one.name: os.pread(descriptor, one.size, one.offset)
            for one in found
            if isinstance(one, Member)
        }
    finally:
        os.close(descriptor)
    return members, [one.reason for one in found if isinstance(one, Refused)]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_it_finds_what_tarfile_wrote(tmp_path, form) -> None:
    assert walked(write_tar(tmp_path / "a.tar", FILES, form)) == (dict(FILES), [])


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names(tmp_path, form) -> None:
    files = [("f" * 60 + "/" + "é" * 70 + ".jpg", b"1"), ("short.jpg", b"2")]
    assert walked(write_tar(tmp_path / "a.tar", files, form)) == (dict(files), [])


def test_nothing_but_regular_files_with_names_inside(tmp_path) -> None:
    bad = {
        "link.jpg": dict(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "hard.jpg": dict(type=tarfile.LNKTYPE, linkname="0001.jpg"),
        "device.jpg": dict(type=tarfile.CHRTYPE),
        "disk.jpg": dict(type=tarfile.BLKTYPE),
        "pipe.jpg": dict(type=tarfile.FIFOTYPE),
        "/etc/absolute.jpg": {},
        "../../up.jpg": {},
        "a/../../zip.jpg": {},
        "..\\windows.jpg": {},
    }
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "folder", type=tarfile.DIRTYPE)
        for name, fields in bad.items():
            add(tar, name, **fields)
        add(tar, "good.jpg", b"1")
    members, refused = walked(tmp_path / "a.tar")
    assert members == {"good.jpg": b"1"} and len(refused) == len(bad)
    assert (
        "'link.jpg' is a symbolic link" in refused
        and "'../../up.jpg' is not a name inside a folder" in refused
    )


def test_a_cut_at_any_place_keeps_what_is_whole_and_is_said(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    whole = path.read_bytes()
    end = 512 * (3 + 2 + 1)  # three headers, two blocks and one of content
    for length in [*range(0, end, 100), end]:
        path.write_bytes(whole[:length])
        members, refused = walked(path)
        assert len(refused) == 1 and members.items() <= dict(FILES).items()
        assert ("a/0001.jpg" in members) == (length >= 512 + 1024) or length in range(
            512 + 700, 512 + 1024
        )


def test_the_rest_of_a_damaged_tar_is_found_again(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    content = bytearray(path.read_bytes())
    content[1536:2048] = b"\xff" * 512  # the second header
    path.write_bytes(content)
    members, refused = walked(path)
    assert set(members) == {"a/0001.jpg", "0003.png"} and refused == ["damaged at byte 1,536"]
    content[1536:2048] = b"\0" * 512  # zeros in the middle are no end
    path.write_bytes(content)
    assert set(walked(path)[0]) == {"a/0001.jpg", "0003.png"}


def test_a_size_below_zero_is_damage_and_no_endless_loop(tmp_path) -> None:
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + write_tar(tmp_path / "b.tar", FILES).read_bytes())
    members, refused = walked(path)
    assert members == dict(FILES) and refused == ["damaged at byte 0"]


@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_end_without_an_error(tmp_path, data) -> None:
    content = bytearray(_bytes_of(FILES))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=20))
        content[place : place + len(piece)] = piece
    (tmp_path / "a.tar").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    members, _ = walked(tmp_path / "a.tar")
    assert len(members) <= 6


@given(st.binary(max_size=3000))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_no_tar_holds_nothing(tmp_path, content) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    assert walked(tmp_path / "a.tar")[0] == {}


def _bytes_of(files: list[tuple[str, bytes]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in [*files, ("é" * 80 + ".jpg", b"long")]:
            add(tar, name, data)
    return content.getvalue()
