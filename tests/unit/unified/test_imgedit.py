"""ImgEdit's folder is read and written; what is missing is named and the rest stays."""

import json
from pathlib import Path

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.unified.imgedit import (
    SINGLE_TURN,
    EditItem,
    read_imgedit,
    write_edited,
    write_imgedit,
)


def test_the_published_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "animal").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "animal" / "1.jpg")
    said = {
        "1082": {"id": "animal/1.jpg", "prompt": "Remove the dog.", "edit_type": "remove"},
        "1083": {"id": "animal/2.jpg", "prompt": "Add a hat.", "edit_type": "add"},
        "1084": {"id": "animal/1.jpg", "prompt": "?"},
        "1085": 3,
        "1086": [1],
        "1087": [None],
        "1088": [[{"a": 1}, 2]],
        "1089": [["id", "animal/1.jpg"], ["prompt", "p"], ["edit_type", "e"]],
    }
    (tmp_path / SINGLE_TURN).write_text(json.dumps(said))
    found = read_imgedit(tmp_path)
    (item,) = found.items
    assert (item.key, item.prompt, item.kind) == ("1082", "Remove the dog.", "remove")
    assert len(found.notes) == 7 and "animal/2.jpg' is missing" in found.notes[0]
    assert "has no edit_type" in found.notes[1] and all("no object" in n for n in found.notes[2:])


def test_names_stay_in_their_folders_and_none_is_lost(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "in").mkdir()
    whole = '{"id": "../1.png", "prompt": "Remove it.", "edit_type": "remove"}'
    inside = whole.replace("../", "")
    keys = [
        "../escaped",
        str(tmp_path / "there"),
        "",
        "..",
        ".",
        "a/b",
        "k" * 300,
        "a\\u0000b",
        "ok",
        "ok",
    ]
    rows = [f'"{key}": {inside}' for key in keys]
    rows += [
        f'"out{at}": {{"id": {said}, "prompt": "p", "edit_type": "e"}}'
        for at, said in enumerate(
            (
                '"../1.png"',
                f'"{tmp_path / "1.png"}"',
                f'"{"x" * 5000}"',
                '"\\ud800"',
                "null",
                '["a"]',
            )
        )
    ]
    (tmp_path / "in" / SINGLE_TURN).write_text("{" + ", ".join(rows) + "}")
    (tmp_path / "1.png").rename(tmp_path / "in" / "1.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    found = read_imgedit(tmp_path / "in")
    assert [item.key for item in found.items] == ["ok"] and len(found.notes) == len(rows) - 1
    assert "stands twice" in found.notes[8] and "is not in the folder" in found.notes[9]
    "; ".join(found.notes).encode()


def test_what_is_written_is_read_again_and_edits_lie_by_key(tmp_path: Path) -> None:
    items = [EditItem(str(k), Path(), f"make it {k}", "adjust") for k in range(3)]
    images = [Image.new("RGB", (8, 8), (60 * k, 0, 0)) for k in range(3)]
    found = read_imgedit(write_imgedit(tmp_path / "own", items, images))
    assert [(i.key, i.prompt, i.kind) for i in found.items] == [
        (i.key, i.prompt, i.kind) for i in items
    ]
    with Image.open(found.items[2].image) as opened:
        assert opened.getpixel((0, 0)) == (120, 0, 0)
    place = write_edited(tmp_path / "edited", found.items, images)
    assert {file.name for file in place.iterdir()} == {"0.png", "1.png", "2.png"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "FileNotFoundError"),
        ("{", "is no JSON"),
        ('{"a":' * 100_000, "is no JSON"),
        ("[1]", "is no mapping"),
        ("{}", "has none"),
    ],
)
def test_a_folder_without_items_is_a_sentence(tmp_path: Path, text, says: str) -> None:
    if text is not None:
        (tmp_path / SINGLE_TURN).write_text(text)
    with pytest.raises(MuseError, match=says):
        read_imgedit(tmp_path)
