"""What every reader owes: used + noted = present, no picture decoded and nothing written on opening."""

import re
from pathlib import Path

import datasets
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from muse_core.data.notes import Notes, kind_of
from muse_core.data.sources import open_source
from muse_core.errors import MuseError

from .noted import PNG, jsonl, noted, opened, read, write
from .tars import numbered, picture, write_tar

ANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SUFFIX = st.sampled_from([".jpg", ".PNG", ".jfif", ".Tiff", ".heic", ".txt", "", ".mp4"])
STEM = st.sampled_from(["1", "2", "a.b", ".hid", "caf\udce9", "ü"])
PLACE = st.sampled_from(["", "cat/", "dog/", "cat/x/", "Train/cat/", "VAL/cat/", "test/", "extra/"])
NAMES = st.lists(st.builds("{}{}{}".format, PLACE, STEM, SUFFIX), min_size=1, unique=True)


@pytest.fixture
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("x")


def fresh(root: Path) -> Path:
    """A folder of its own for one example."""
    return root / str(sum(1 for _ in root.iterdir()))


def accounted(spec: str) -> int:
    """What is used of a source, and what is noted; the example is refused where it has no split."""
    try:
        sources = opened(spec)
    except MuseError as error:
        assert str(error).endswith(".")
        assume(False)
    return sum(map(len, sources)) + noted(sources[0].notes)


@ANY
@given(NAMES)
def test_a_folder(root, names) -> None:
    assert accounted(f"folder:{write(fresh(root), names)}") == len(names)


MASK = picture(1, (4, 4), "L")
WORDS = st.sampled_from(["a cat", "", None, float("nan"), ["a", "b"], [], [{"raw": "a"}]])


@ANY
@given(
    st.dictionaries(st.sampled_from(["1.jpg", "2.png", "3.jpg", "s/4.jpg", "5.gif"]), WORDS),
    st.sets(st.sampled_from(["1.jpg", "3.jpg", "s/4.jpg", "6.png", "7.txt", ".8.png"])),
    st.sampled_from(["caption", "captions", "text", "Prompt", "words"]),
)
def test_captions(root, rows, files, name) -> None:
    folder = fresh(root)
    files = {*files, "0.jpg"}
    write(folder / "images", files)
    lines = [{"file_name": "0.jpg", "text": "whole"}]
    lines += [{"file_name": file, name: words} for file, words in rows.items()]
    jsonl(folder / "captions.jsonl", lines)
    assert accounted(f"captions:{folder}") == len(rows.keys() | files)


@ANY
@given(
    st.sets(st.sampled_from(["1.jpg", "2.PNG", "a/3.jpg", "b/3.jpg", "4.txt", ".5.png"])),
    st.sets(st.sampled_from(["1.png", "2.PNG", "a/3.png", "3.png", "6.tif", "7.md"])),
    st.none() | st.dictionaries(st.sampled_from(["1", "2.PNG", "a\\3", "9"]), st.just("Train")),
)
def test_masks(root, images, masks, listed) -> None:
    folder = fresh(root)
    write(folder / "images", images), write(folder / "masks", masks)
    write(folder, ["classes.txt"], b"sky\nroad\n")
    if listed is not None:
        lines = "".join(f"{name}\t{split}\n" for name, split in listed.items())
        write(folder, ["official_split.tsv"], lines.encode())
    try:
        sources = opened(f"masks:{folder}")
    except MuseError:
        assume(False)
    used = sum(map(len, sources))
    notes = [note for note in sources[0].notes if not re.match(r"\d+ lines?", note)]
    outside = noted(note for note in notes if "outside" in note)
    # An image outside the list leaves its mask unused as well, and one note says so.
    assert 2 * used + noted(notes) + outside == len(images) + len(masks)


KINDS = st.sets(st.sampled_from(["jpg", "PNG", "txt", "heic", "cls"]), min_size=1)


@ANY
@given(st.dictionaries(st.sampled_from(["1", "a.b", "x/2", "v1.5"]), KINDS, min_size=1))
def test_shards(root, samples) -> None:
    members = [
        (f"{key}.{kind}", b"1" if kind == "cls" else PNG)
        for key, kinds in samples.items()
        for kind in sorted(kinds)
    ]
    folder = fresh(root)
    write_tar(folder / "0.tar", members)
    images = [len(kinds & {"jpg", "PNG"}) for kinds in samples.values()]
    unread = sum("heic" in kinds for kinds in samples.values())
    alone = sum(bool(kinds - {"heic"}) and not kinds & {"jpg", "PNG"} for kinds in samples.values())
    try:
        sources = opened(f"wds:{folder}")
    except MuseError:
        assert not any(images)
        return
    assert sum(map(len, sources)) == sum(map(bool, images))
    # Images without words are used.
    dropped = [note for note in sources[0].notes if "without words" not in note]
    assert noted(dropped) == unread + alone + sum(count == 2 for count in images)


@pytest.mark.usefixtures("no_hub")
@settings(ANY, max_examples=15)
@given(
    st.dictionaries(
        st.sampled_from(["train", "Validation", "test", "extra", "more"]),
        st.integers(1, 6),
        min_size=1,
    )
)
def test_a_data_set_of_the_hub(root, parts) -> None:
    folder = fresh(root)
    row = {"bytes": PNG, "path": None}
    datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict({"image": [row] * count, "text": ["a"] * count})
            for name, count in parts.items()
        }
    ).save_to_disk(folder)
    assert accounted(f"hf:{folder}") == sum(parts.values())


@pytest.mark.usefixtures("no_hub")
@ANY
@given(st.lists(st.booleans(), min_size=3, max_size=9))
@pytest.mark.long
def test_what_only_reading_shows_is_said_after_an_epoch(root, whole) -> None:
    folder = fresh(root)
    rows, members = [], []
    for number, good in enumerate(whole):
        content = PNG if good else b"broken"
        write(folder / "folder" / "cat", [f"{number}.png"], content)
        write(folder / "lines" / "images", [f"{number}.png"], content)
        write(folder / "masks" / "images", [f"{number}.png"], content)
        write(folder / "masks" / "masks", [f"{number}.png"], MASK)
        write(folder / "broken" / "images", [f"{number}.png"])
        write(folder / "broken" / "masks", [f"{number}.png"], MASK if good else PNG[:40])
        rows.append({"file_name": f"{number}.png", "text": "a"})
        members += [(f"{number}.png", content), (f"{number}.txt", b"a")]
    for name in ("masks", "broken"):
        write(folder / name, ["classes.txt"], b"sky\nroad\n")
    jsonl(folder / "lines" / "captions.jsonl", rows)
    write_tar(folder / "shards" / "0.tar", members)
    images = [{"bytes": PNG if good else b"broken", "path": None} for good in whole]
    table = datasets.Dataset.from_dict({"image": images, "text": ["a"] * len(whole)})
    datasets.DatasetDict({"train": table}).save_to_disk(folder / "hub")
    kinds = (
        "folder:folder",
        "captions:lines",
        "masks:masks",
        "masks:broken",
        "wds:shards",
        "hf:hub",
    )
    for kind, _, name in (one.partition(":") for one in kinds):
        sources = opened(f"{kind}:{folder / name}")
        assert sum(map(len, sources)) == len(whole)
        try:
            used, skipped = read(sources)
        except MuseError as error:
            assert "can be read" in str(error)
            continue
        assert len(used) == sum(whole) and len(skipped) == len(whole) - sum(whole)


def test_opening_decodes_nothing_and_writes_nothing(tmp_path, monkeypatch, no_hub) -> None:
    write(tmp_path / "folder", [f"cat/{n}.png" for n in range(9)])
    write(tmp_path / "pairs" / "images", [f"{n}.png" for n in range(9)])
    write(tmp_path / "pairs" / "masks", [f"{n}.png" for n in range(9)])
    write(tmp_path / "pairs", ["classes.txt"], b"sky\nroad\n")
    jsonl(
        tmp_path / "pairs" / "captions.jsonl",
        [{"file_name": f"{n}.png", "caption": "a"} for n in range(9)],
    )
    write_tar(tmp_path / "shards" / "0.tar", numbered(0, 9))
    row = {"bytes": PNG, "path": None}
    datasets.Dataset.from_dict({"image": [row] * 9}).save_to_disk(tmp_path / "saved")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    decoded = []
    monkeypatch.setattr(Image, "open", lambda *given, **_: decoded.append(given))
    specs = ["folder:folder", "captions:pairs", "masks:pairs", "wds:shards", "hf:saved"]
    for spec in (spec.replace(":", f":{tmp_path}/") for spec in specs):
        assert len(open_source(spec, "train", 8).fingerprint) > 9
    assert decoded == []
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_notes_add_up_by_kind_and_say_the_first() -> None:
    notes, more = Notes(), Notes()
    notes.add("image without a mask", "1.jpg", "draw one")
    notes.add("image without a mask", "2.jpg", "draw one", 1_999)
    notes.add("mask without an image", "3.png", "delete it", 0)
    more.add("line without words", "caf\udce9", "write some")
    notes.include(more)
    assert notes.lines() == (
        "2,000 images without a mask, the first is 1.jpg: draw one",
        "1 line without words: café; write some",
    )


def test_kinds_of_files_do_not_grow_without_end() -> None:
    names = ["a.HEIC", "frame.0001", "a", "caf.\udce9", "x.abcdefghijk", "b.mp4"]
    assert [kind_of(name) for name in names] == [".heic", *["no usual suffix"] * 4, ".mp4"]
