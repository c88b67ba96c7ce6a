"""A folder is whole or absent, at whatever operation the process dies."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.training import saving
from muse_core.training.saving import put_in_place, remove, save_whole, tidy


class Died(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Network:
    def __init__(self, words: str) -> None:
        self.words = words

    def save_pretrained(self, folder: Path) -> None:
        Path(folder).mkdir(parents=True)
        for name in ("a", "b"):
            (Path(folder) / name).write_text(self.words)


def read(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.iterdir()}


def dying_at(operation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the n-th change of a name or removal of a folder never happen."""
    count = iter(range(1000))

    def counted(plain):
        def maybe(*arguments, **options):
            if next(count) == operation:
                raise Died
            return plain(*arguments, **options)

        return maybe

    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    monkeypatch.setattr(saving.shutil, "rmtree", counted(shutil.rmtree))
    monkeypatch.setattr(saving, "force", counted(saving.force))


@pytest.mark.parametrize("operation", range(9))
def test_replacing_leaves_the_old_or_the_new_one_whole(tmp_path, monkeypatch, operation) -> None:
    save_whole(Network("old"), tmp_path / "kept")
    new = tmp_path / ".kept.1.tmp"
    Network("new").save_pretrained(new)
    with monkeypatch.context() as patch:
        dying_at(operation, patch)
        with contextlib.suppress(Died):
            put_in_place(new, tmp_path / "kept")
    tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert read(tmp_path / "kept") in ({"old"}, {"new"})


@pytest.mark.parametrize("operation", range(3))
def test_removing_never_leaves_a_part_under_the_name(tmp_path, monkeypatch, operation) -> None:
    save_whole(Network("old"), tmp_path / "kept")
    with monkeypatch.context() as patch:
        dying_at(operation, patch)
        with contextlib.suppress(Died):
            remove(tmp_path / "kept")
    tidy(tmp_path)
    assert not any(tmp_path.iterdir()) or read(tmp_path / "kept") == {"old"}


def test_files_and_folders_are_forced_before_the_name_is_given(tmp_path, monkeypatch) -> None:
    forced: list[str] = []
    plain = os.fsync
    monkeypatch.setattr(
        saving.os,
        "fsync",
        lambda handle: forced.append(os.readlink(f"/proc/self/fd/{handle}")) or plain(handle),
    )
    save_whole(Network("new"), tmp_path / "kept")
    written = tmp_path / f".kept.{os.getpid()}.tmp"
    inside = [written / name for name in ("a", "b")] + [written]
    assert set(forced[:3]) == set(map(str, inside)) and forced[3:] == [str(tmp_path)]


def test_a_disk_that_refuses_keeps_what_is_there(tmp_path, monkeypatch) -> None:
    save_whole(Network("old"), tmp_path / "kept")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(MuseError, match=r"No space left on device.*free some space"):
        save_whole(Network("new"), tmp_path / "kept")
    assert read(tmp_path / "kept") == {"old"} and len(list(tmp_path.iterdir())) == 1
