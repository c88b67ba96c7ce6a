import io

import datasets
import numpy as np
import pytest
from PIL import Image

from muse_core.data.batch import NO_LABEL
from muse_core.data.columns import Columns
from muse_core.data.hub import HubSource, Place, open_hub
from muse_core.data.sources import open_source
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .tars import numbered, picture, write_tar

pytestmark = pytest.mark.usefixtures("no_hub")


def table(first: int, last: int) -> datasets.Dataset:
    numbers = range(first, last)
    return datasets.Dataset.from_dict(
        {
            "image": [{"bytes": picture((number, 0, 0)), "path": None} for number in numbers],
            "caption": [[f"picture {number}", f"number {number}"] for number in numbers],
            "label": [number % 2 for number in numbers],
        },
        features=datasets.Features(
            image=datasets.Image(),
            caption=datasets.Sequence(datasets.Value("string")),
            label=datasets.ClassLabel(names=["even", "odd"]),
        ),
    )


def assert_numbers_agree(source) -> set[int]:
    batch = source.__getitems__(list(range(len(source))))
    numbers = (batch.images[:, 0].mean((1, 2)) * 255).round().int().tolist()
    assert batch.captions == tuple(f"picture {number}" for number in numbers)
    drawn = source.drawn(list(range(len(source))), 0, 0).captions
    assert all(
        caption.endswith(f" {number}") for caption, number in zip(drawn, numbers, strict=True)
    )
    assert batch.labels.tolist() == [number % 2 for number in numbers] and batch.skipped == ()
    return set(numbers)


def test_a_saved_data_set_is_dealt_to_three_splits(tmp_path) -> None:
    table(0, 40).save_to_disk(tmp_path / "saved")
    sources = [open_source(f"hf:{tmp_path / 'saved'}", split, 8) for split in SPLITS]
    assert sources[0].class_names == ("even", "odd") and all(len(source) for source in sources)
    read = [assert_numbers_agree(source) for source in sources]
    assert set().union(*read) == set(range(40)) and sum(map(len, read)) == 40
    assert sources[0].fingerprint == open_source(f"hf:{tmp_path / 'saved'}", "train", 8).fingerprint


def test_its_own_splits_are_kept_and_a_lone_test_is_halved(tmp_path) -> None:
    datasets.DatasetDict(train=table(0, 10), test=table(10, 30)).save_to_disk(tmp_path / "two")
    read = [assert_numbers_agree(open_hub(str(tmp_path / "two"), split, 8)) for split in SPLITS]
    assert (
        read[0] == set(range(10))
        and read[1] | read[2] == set(range(10, 30))
        and not read[1] & read[2]
    )
    datasets.DatasetDict(train=table(0, 4), validation=table(4, 6)).save_to_disk(
        tmp_path / "no_test"
    )
    assert assert_numbers_agree(open_hub(str(tmp_path / "no_test"), "val", 8)) == {4, 5}
    with pytest.raises(MuseError, match="no images for the split 'test'"):
        open_hub(str(tmp_path / "no_test"), "test", 8)


def test_a_folder_of_parquet(tmp_path) -> None:
    (tmp_path / "flat").mkdir()
    table(0, 12).to_parquet(tmp_path / "flat" / "train-00000.parquet")
    read = [assert_numbers_agree(open_hub(str(tmp_path / "flat"), split, 8)) for split in SPLITS]
    assert set().union(*read) == set(range(12))


def test_a_folder_of_tar_shards(tmp_path) -> None:
    samples = [(name, content) for name, content in numbered(0, 9) if ".seg" not in name]
    write_tar(tmp_path / "tars" / "train-0.tar", samples)
    batch = open_hub(str(tmp_path / "tars"), "train", 8).first(2)
    numbers = (batch.images[:, 0].mean((1, 2)) * 255).round().int().tolist()
    assert batch.captions == tuple(f"picture {number}" for number in numbers)


def test_a_picture_outside_the_folder_and_a_broken_one_are_skipped(tmp_path, save) -> None:
    outside, inside = save(tmp_path / "private.png"), save(tmp_path / "set" / "own.png")
    (tmp_path / "set" / "link.png").symlink_to(outside)
    rows = [
        {"bytes": None, "path": str(inside)},
        {"bytes": None, "path": str(outside)},
        {"bytes": None, "path": str(tmp_path / "set" / "link.png")},
        {"bytes": b"x", "path": None},
    ]
    features = datasets.Features(image=datasets.Image(decode=False), text=datasets.Value("string"))
    named = datasets.Dataset.from_dict({"image": rows, "text": list("abcd")}, features=features)
    place = Place("set", tmp_path / "set")
    columns = Columns("image", "text", None, ())
    source = HubSource(place, named, columns, np.arange(4), "train", 8)
    batch = source.first(4)
    assert batch.captions == ("a",) * 4 and batch.skipped == (
        "set#1 (no image in its row)",
        "set#2 (no image in its row)",
        "set#3 (not an image in a format that is read)",
    )


def test_what_is_not_to_be_had_is_one_sentence(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    words = datasets.Dataset.from_dict({"words": ["a"]})
    words.save_to_disk(tmp_path / "words")
    for place, sentence in {
        str(tmp_path / "empty"): "cannot be opened",
        "nobody/nothing-of-this-name": r"cannot be opened \(.*\): give a folder with parquet "
        r"files, or a hub name",
        str(tmp_path / "words"): r"has no column of images \(it has: words\)",
    }.items():
        with pytest.raises(MuseError, match=sentence) as caught:
            open_hub(place, "train", 8)
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_code_beside_a_data_set_is_not_run(tmp_path) -> None:
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(MuseError, match="cannot be opened"):
        open_hub(str(folder), "train", 8)
    assert not (tmp_path / "ran").exists()


def test_a_bomb_is_not_decoded(tmp_path, monkeypatch) -> None:
    content = io.BytesIO()
    Image.new("L", (200, 200)).save(content, "png")
    monkeypatch.setattr("muse_core.data.decode.MOST_PIXELS", 100)
    features = datasets.Features(image=datasets.Image())
    datasets.Dataset.from_dict(
        {"image": [{"bytes": content.getvalue(), "path": None}]}, features=features
    ).save_to_disk(tmp_path / "set")
    with pytest.raises(MuseError, match="more than 100 pixels"):
        open_hub(str(tmp_path / "set"), "train", 8).first(1)


def rows(**columns) -> datasets.Dataset:
    count = len(next(iter(columns.values())))
    images = [{"bytes": picture((n, 0, 0)), "path": None} for n in range(count)]
    return datasets.Dataset.from_dict({"IMAGE": images, **columns})


@pytest.mark.parametrize(
    ("labels", "names", "caption", "places"),
    [
        (
            ["owl", "ant", None, "owl", "ant"],
            ("ant", "owl"),
            "a photo of an ant",
            [1, 0, NO_LABEL, 1, 0],
        ),
        ([10, 9, -1, 10, 9], ("9", "10"), "a photo", [1, 0, NO_LABEL, 1, 0]),
        ([1.0, float("nan"), 0.0, 1.0, 1.0], ("0", "1"), "a photo", [1, NO_LABEL, 0, 1, 1]),
        (["n01484850"] * 5, ("great white shark",), "a photo of a great white shark", [0] * 5),
    ],
)
def test_plain_words_and_numbers_are_classes(tmp_path, labels, names, caption, places) -> None:
    rows(Label=labels).save_to_disk(tmp_path / "set")
    sources = [open_hub(str(tmp_path / "set"), split, 8) for split in SPLITS]
    batches = [source.first(5) for source in sources]
    assert {source.class_names for source in sources} == {names}
    found = {}
    for batch in batches:
        numbers = [int(name.rsplit("#")[1]) for name in batch.ids]
        found |= dict(zip(numbers, batch.labels.tolist(), strict=True))
    assert [found[number] for number in range(5)] == places
    assert caption in {words for batch in batches for words in batch.captions}


def test_parts_by_other_names_and_those_that_are_left(tmp_path) -> None:
    parts = {"Training": rows(prompt=["a"] * 4), "dev": rows(prompt=["b"] * 2)}
    parts["extra"] = rows(prompt=["c"] * 3)
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    train, val = (open_source(f"hf:{tmp_path / 'set'}", split, 8) for split in ("train", "val"))
    assert (len(train), len(val), val.first(1).captions) == (4, 2, ("b",))
    note = "3 rows of a part that is no split, the first is extra: say which split it is, as "
    assert train.notes == (f"{note}?test=extra",)
    assert len(open_source(f"hf:{tmp_path / 'set'}?test=extra", "test", 8)) == 3


def test_addresses_are_said_to_be_addresses(tmp_path) -> None:
    table = {"image": ["https://example.org/1.jpg"] * 3, "caption": ["a"] * 3}
    datasets.Dataset.from_dict(table).save_to_disk(tmp_path / "set")
    with pytest.raises(MuseError, match=r"an address in place of an image.*download the images"):
        open_hub(str(tmp_path / "set"), "train", 8).first(1)


def test_paths_in_the_folder_are_images(tmp_path, save) -> None:
    save(tmp_path / "set" / "pictures" / "1.png")
    table = {"image": ["pictures/1.png"] * 3, "text": ["a"] * 3}
    datasets.Dataset.from_dict(table).to_parquet(tmp_path / "set" / "train.parquet")
    assert open_hub(str(tmp_path / "set"), "train", 8).first(1).skipped == ()


def test_rows_without_words_are_counted(tmp_path) -> None:
    rows(text=["a", None, " ", "b"]).save_to_disk(tmp_path / "set")
    assert open_hub(str(tmp_path / "set"), "train", 8).notes[0].startswith("2 rows without words")


def test_a_list_that_a_folder_of_images_does_not_read_is_noted(tmp_path, save) -> None:
    for number in range(3):
        save(tmp_path / "x" / f"{number}.png")
    (tmp_path / "x" / "data.csv").write_text("image,caption\n0.png,a\n")
    (note,) = open_hub(str(tmp_path / "x"), "train", 8).notes
    assert note.startswith("1 list that is not read: data.csv; call it metadata.csv")
