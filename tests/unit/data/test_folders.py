import os
from pathlib import Path

import pytest

from muse_core.data.folders import (
    existing_folder,
    finder,
    image_files,
    listing,
    spelled,
    without_suffix,
)
from muse_core.data.notes import Notes
from muse_core.errors import MuseError

from .noted import noted, write


def listed(root: Path) -> tuple[list[str], tuple[str, ...]]:
    notes = Notes()
    return image_files(root, notes), notes.lines()


def test_links_to_folders_outside_are_followed_once(tmp_path) -> None:
    write(tmp_path / "disk", ["1.png", "deep/2.png"])
    write(tmp_path / "data", ["own.png"])
    for name in ("here", "again"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "disk")
    files, notes = listed(tmp_path / "data")
    assert files == ["again/1.png", "again/deep/2.png", "own.png"]
    assert notes == ("1 link to a folder that is read already: here; delete the link",)


@pytest.mark.parametrize("target", [".", "..", "../..", "../b", "../../..", "c/again"])
def test_links_that_lead_back_end_and_multiply_nothing(tmp_path, target) -> None:
    root = write(tmp_path / "data", ["a/1.png", "a/c/2.png", "b/3.png"])
    (root / "a" / "c" / "again").symlink_to(target)
    files, notes = listed(root)
    assert files == ["a/1.png", "a/c/2.png", "b/3.png"] and noted(notes) == 1


def test_every_folder_linked_into_every_other(tmp_path) -> None:
    root = write(tmp_path, [f"{n}/x.png" for n in range(12)])
    for one in range(12):
        for other in range(12):
            (root / f"{one}" / f"to{other}").symlink_to(root / f"{other}")
    files, notes = listed(root)
    assert len(files) == 12 and noted(notes) == 144


def test_a_file_counts_once_by_its_own_name(tmp_path) -> None:
    root = write(tmp_path, ["z/1.png"])
    (root / "a.png").symlink_to(root / "z" / "1.png")
    (root / "nowhere.png").symlink_to(root / "absent.png")
    (root / "self.png").symlink_to(root / "self.png")
    files, notes = listed(root)
    assert files == ["z/1.png"] and noted(notes) == 3
    assert listing(root, Notes()).twice == ["a.png"]


def test_a_folder_that_cannot_be_opened_is_noted(tmp_path, monkeypatch) -> None:
    root, scandir = write(tmp_path, ["a/1.png", "b/2.png"]), os.scandir

    def refusing(place):
        if str(place).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    files, notes = listed(root)
    assert files == ["a/1.png"] and "(Permission denied): b; mend it" in notes[0]


def test_a_list_may_spell_names_its_own_way() -> None:
    find = finder(["a/Bär.JPG", "a/1.png", "A/1.png", "caf\udce9.jpg"])
    assert find("a\\bär.jpg") == "a/Bär.JPG" == find("./a/ba\u0308r.JPG")
    assert find("a/1.png") == "a/1.png" and find("a\\1.PNG") is None
    assert find("café.jpg") == "caf\udce9.jpg" and find("other") is None


def test_names_without_suffix() -> None:
    assert [without_suffix(name) for name in ("a.b.jpg", "a/b.TIF", "0001_5", "v1.5")] == [
        "a.b",
        "a/b",
        "0001_5",
        "v1.5",
    ]


def test_a_folder_that_is_not_there(tmp_path) -> None:
    with pytest.raises(MuseError, match=r"no folder .*x: give the path of a folder with images"):
        existing_folder(tmp_path / "x", "images")


def test_a_folder_in_another_case_is_found_where_it_is_the_only_one(tmp_path) -> None:
    write(tmp_path / "a", ["Images/1.png"])
    write(tmp_path / "b", ["Images/1.png", "IMAGES/1.png"])
    found = [spelled(tmp_path / name, "images") for name in ("a", "b", "absent")]
    assert found == ["Images", "images", "images"]
