import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from muse_core.data import decode as images
from muse_core.data import tar_index
from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL, Steps
from muse_core.data.decode import Unreadable
from muse_core.data.loader import EpochOrder, training_batches
from muse_core.data.reading import WORDLESS
from muse_core.data.splits import SPLITS
from muse_core.data.webdataset import captions_of, open_shards
from muse_core.errors import MuseError

from .tars import numbered, picture, write_tar


@pytest.fixture
def folder(tmp_path):
    """Three shards of twenty samples, their classes and masks named."""
    for shard in range(3):
        write_tar(tmp_path / "pairs" / f"{shard:06d}.tar", numbered(20 * shard, 20 * shard + 20))
    (tmp_path / "pairs" / "classes.txt").write_text("ant\nbee\ncat\n")
    (tmp_path / "pairs" / "mask_classes.txt").write_text("ground\nthing\n")
    return tmp_path / "pairs"


def everything(source):
    return source.__getitems__(list(range(len(source))))


def test_each_sample_is_in_one_split_with_all_that_belongs_to_it(folder) -> None:
    batches = [everything(open_shards(str(folder), split, 8)) for split in SPLITS]
    assert sum(map(len, batches)) == 60 == len({name for batch in batches for name in batch.ids})
    for batch in batches:
        numbers = [int(name.rsplit("/", 1)[1]) for name in batch.ids]
        assert (batch.images[:, 0].mean((1, 2)) * 255).round().tolist() == numbers
        assert batch.captions == tuple(f"picture {number}" for number in numbers)
        assert batch.labels.tolist() == [number % 3 for number in numbers]
        assert [mask.unique().tolist() for mask in batch.class_masks] == [
            [number % 2] for number in numbers
        ]
        assert batch.skipped == () and batch.instance_masks is None


def test_a_brace_pattern_a_folder_and_a_copy_are_the_same(folder, tmp_path) -> None:
    one = open_shards(f"{folder}/{{000000..000002}}.tar", "train", 8)
    shutil.copytree(folder, tmp_path / "elsewhere" / "pairs")
    other = open_shards(str(tmp_path / "elsewhere" / "pairs"), "train", 8)
    assert one.fingerprint == other.fingerprint and everything(one).ids == everything(other).ids
    assert one.class_names == ("ant", "bee", "cat") and one.mask_class_names == ("ground", "thing")


def test_more_shards_move_no_sample_to_another_split(folder) -> None:
    before = set(everything(open_shards(f"{folder}/00000{{0,1}}.tar", "train", 8)).ids)
    assert before <= set(everything(open_shards(str(folder), "train", 8)).ids)


def test_the_fingerprint_says_what_is_read(folder) -> None:
    def fingerprint(split="train", size=8, pattern=str(folder)) -> str:
        return open_shards(pattern, split, size).fingerprint

    others = {
        fingerprint("val"),
        fingerprint(size=16),
        fingerprint(pattern=f"{folder}/000000.tar"),
    }
    assert len({fingerprint(), fingerprint(), *others}) == 4 and str(folder) not in fingerprint()


def test_workers_and_processes_read_each_sample_once_an_epoch(folder) -> None:
    """Two processes of two workers, resumed in between: together one epoch, none twice, in the
    order of one process.
    """
    source = open_shards(str(folder), "train", 8)
    steps = len(source) // 8
    shares = [
        [
            batch.to("cpu").ids
            for start, stop in ((0, 2), (2, steps))
            for batch in training_batches(source, 8, 7, start, stop, rank, 2, workers=2)
        ]
        for rank in (0, 1)
    ]
    steps_of_both = (zip(*pair, strict=True) for pair in zip(*shares, strict=True))
    read = [name for step in steps_of_both for turn in step for name in turn]
    assert len(read) == len(set(read)) == 8 * steps
    order = [at for _, batch in EpochOrder(len(source), Steps(8, 7, 0, steps)) for at in batch]
    assert read == [source.sample_id(index) for index in order]


def test_numbers_name_the_classes_where_no_file_does_and_masks_need_names(folder) -> None:
    (folder / "classes.txt").unlink(), (folder / "mask_classes.txt").unlink()
    source = open_shards(str(folder), "train", 8)
    batch = source.first(2)
    assert (
        source.class_names == ("0", "1", "2")
        and batch.class_masks is None
        and source.mask_class_names == ()
    )
    assert batch.skipped == (
        "60 masks without class names, the first is pairs: name them in mask_classes.txt",
    )


def test_numbers_beyond_the_names_are_no_class_and_void(folder) -> None:
    (
        (folder / "classes.txt").write_text("ant\nbee\n"),
        (folder / "mask_classes.txt").write_text("ground\n"),
    )
    batch = everything(open_shards(str(folder), "train", 8))
    assert set(batch.labels.tolist()) == {0, 1, NO_LABEL}
    assert set(batch.class_masks.unique().tolist()) == {0, IGNORED_PIXEL}
    assert batch.skipped == (
        "20 labels without a name, the first is pairs: write more lines into classes.txt",
    )


def test_captions_as_json_or_none_at_all(tmp_path) -> None:
    members = {
        "a.json": b'{"captions": ["one", "two"], "url": "x"}',
        "a.png": picture(),
        "b.JPG": picture(),
        "b.json": b'"words"',
        "c.cls": b"1",
        "c.webp": picture(),
        "d.png": picture(),
        "e.json": b"{}",
        "e.png": picture(),
        "e.txt": b"from text",
    }
    write_tar(tmp_path / "x" / "0.tar", list(members.items()))
    (tmp_path / "x" / "classes.txt").write_text("ant\nowl\n")
    batches = [everything(open_shards(f"{tmp_path}/x/0.tar", split, 8)) for split in SPLITS]
    said = {
        name[-1]: caption
        for batch in batches
        for name, caption in zip(batch.ids, batch.captions, strict=True)
    }
    assert said == {
        "a": "one",
        "b": "words",
        "c": "a photo of an owl",
        "d": "a photo",
        "e": "from text",
    }


def test_a_truncated_shard_gives_its_whole_samples_and_is_listed(folder) -> None:
    path = folder / "000001.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sources = [open_shards(str(folder), split, 8) for split in SPLITS]
    assert 45 <= sum(map(len, sources)) < 60
    for source in sources:
        assert "cut short: pairs/000001.tar behind byte" in everything(source).skipped[0]


def test_damaged_pictures_are_replaced_and_listed(folder) -> None:
    write_tar(
        folder / "000003.tar",
        [("bad.png", b"no picture"), ("odd.json", b"{"), ("odd.png", picture())],
    )
    skipped = {
        note for split in SPLITS for note in everything(open_shards(str(folder), split, 8)).skipped
    }
    assert skipped == {
        "pairs/000003.tar/bad (not an image in a format that is read)",
        "pairs/000003.tar/odd (its .json holds no captions)",
        "1 image without words: pairs; add a .txt; without, it is called a photo of its class",
    }


def test_shards_with_nothing_to_read(folder) -> None:
    (folder / "000001.tar").write_bytes(b"")
    assert any(
        "without a sample that has an image: pairs/000001.tar" in note
        for note in open_shards(str(folder), "val", 8).first(1).skipped
    )
    with pytest.raises(
        MuseError, match=r"holds no samples with an image \(1 shard damaged or cut short"
    ):
        open_shards(f"{folder}/000001.tar", "train", 8)


def test_a_hundred_megapixels_are_refused_from_the_header(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(images, "MOST_PIXELS", 10_000)
    write_tar(tmp_path / "x" / "0.tar", [("bomb.png", picture(0, (101, 100), "L"))])
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(MuseError, match=r"bomb: more than 10,000 pixels"):
        open_shards(str(tmp_path / "x"), "train", 8).first(1)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("{0..", "absent|cannot be expanded"),
        ("{0..99999999}.tar", "names more than 1,000,000 shards"),
        ("{5000000000000000000000..35..3}.tar", "names more than 1,000,000 shards"),
        ("pipe:cat /etc/passwd", "are absent"),
        ("https://example.org/{0..9}.tar", "10 of the 10 shards"),
        ("", "holds no .tar"),
    ],
)
def test_patterns_that_name_no_shards(tmp_path, monkeypatch, pattern, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MuseError, match=sentence):
        open_shards(pattern, "train", 8)


@given(st.text(st.sampled_from("{}.,0129a-\\/\0é"), max_size=20))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_pattern_is_shards_or_a_sentence(tmp_path, pattern) -> None:
    try:
        open_shards(f"{tmp_path}/{pattern}", "train", 8)
    except MuseError as error:
        assert str(error).endswith(".")


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["captions", "caption", "text"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
@settings(max_examples=100, deadline=None)
def test_any_json_is_captions_or_unreadable(content) -> None:
    try:
        assert all(text.strip() for text in captions_of(content, b""))
    except Unreadable as reason:
        assert str(reason) == "its .json holds no captions"


@given(st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_shard_damaged_anywhere_gives_samples_or_a_sentence(tmp_path, data) -> None:
    path = write_tar(
        tmp_path / "x" / "0.tar", [*numbered(0, 3), ("9.json", b'["x"]'), ("9.png", picture())]
    )
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        batch = everything(open_shards(str(path), "train", 8))
        assert np.isfinite(batch.images.numpy()).all() and len(batch.ids) == len(batch.captions)
    except MuseError as error:
        assert str(error).endswith(".")


def test_shards_and_folders_called_like_splits_are_splits(tmp_path) -> None:
    write_tar(tmp_path / "one" / "set-TRAIN-000.tar", numbered(0, 9))
    write_tar(tmp_path / "one" / "set-val-000.tar", numbered(9, 12))
    write_tar(tmp_path / "two" / "training" / "0.tar", numbered(0, 9))
    write_tar(tmp_path / "two" / "dev" / "0.TAR", numbered(9, 12))
    (tmp_path / "two" / "dev" / "1.tar.gz").write_bytes(b"")
    for place in ("one", "two"):
        lengths = [len(open_shards(str(tmp_path / place), split, 8)) for split in ("train", "val")]
        assert lengths == [9, 3]
    note = "1 file other than a .tar: dev/1.tar.gz; unpack it if it holds shards"
    assert note in open_shards(str(tmp_path / "two"), "train", 8).notes


def test_words_under_an_unknown_name_are_noted_and_may_be_asked_for(tmp_path) -> None:
    members = [(f"{n}.{kind}", content) for n in range(4) for kind, content in JSON_ALONE]
    write_tar(tmp_path / "x" / "0.tar", members)
    source = open_shards(str(tmp_path / "x"), "train", 8)
    assert source.notes[0].startswith("4 jsons without words under a known name, the first is x")
    asked = open_shards(str(tmp_path / "x"), "train", 8, {"column": "description_en"})
    assert asked.notes == () and asked.first(1).captions == ("words",)


JSON_ALONE = [("png", picture()), ("json", b'\xef\xbb\xbf{"description_en": "words"}')]


def test_words_in_bytes_of_old_and_words_in_two_files(tmp_path) -> None:
    members = [("a.png", picture()), ("a.txt", "caf\u00e9".encode("latin-1"))]
    members += [("a.json", '{"caption": ["tea", "caf\u00e9"]}'.encode())]
    write_tar(tmp_path / "x" / "0.tar", members)
    assert open_shards(str(tmp_path / "x"), "train", 8).stored(0).sample.captions == ("tea", "café")


def words(first: int, labels: list[str]) -> list[tuple[str, bytes]]:
    """Samples of these labels, from this number on."""
    pairs = enumerate(labels, start=first)
    return [
        one for n, label in pairs for one in ((f"{n}.png", picture()), (f"{n}.cls", label.encode()))
    ]


def labels(place) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes, and that of each sample in all splits."""
    sources = [open_shards(str(place), split, 8) for split in SPLITS]
    batches = [source.first(len(source)) for source in sources]
    found = {
        name.rpartition("/")[2]: int(label)
        for batch in batches
        for name, label in zip(batch.ids, batch.labels, strict=True)
    }
    return sources[0].class_names, found


def test_labels_may_be_words(tmp_path, monkeypatch) -> None:
    write_tar(tmp_path / "x" / "0.tar", words(0, ["owl", "ant\n"]))
    write_tar(tmp_path / "x" / "1.tar", words(2, ["bee", "owl"]))
    assert labels(tmp_path / "x") == (("ant", "bee", "owl"), {"0": 2, "1": 0, "2": 1, "3": 2})
    monkeypatch.setattr("muse_core.data.tar_index.WORTH_KEEPING", 0)
    monkeypatch.setattr("muse_core.paths.shard_indexes", lambda: tmp_path / "kept")
    for _ in range(2):
        tar_index._read_index.cache_clear()
        assert labels(tmp_path / "x")[1]["3"] == 2
    source = open_shards(str(tmp_path / "x"), "train", 8)
    batch = source.first(1)
    name = source.class_names[int(batch.labels[0])]
    assert batch.captions[0].endswith(name) and not source.notes
    (tmp_path / "x" / "classes.txt").write_text("owl\nbee\ncat\nant\n")
    assert labels(tmp_path / "x")[1] == {"0": 0, "1": 3, "2": 1, "3": 0}
    (tmp_path / "x" / "classes.txt").write_text("owl\n")
    assert labels(tmp_path / "x")[0] == ("ant", "bee", "owl")
    assert "1 list of other classes" in open_shards(str(tmp_path / "x"), "train", 8).notes[0]


def test_labels_in_words_and_numbers_or_only_in_a_json_are_noted(tmp_path) -> None:
    write_tar(tmp_path / "x" / "0.tar", words(0, ["1", "owl", "bee"]))
    source = open_shards(str(tmp_path / "x"), "train", 8)
    assert source.notes[0].startswith(
        "2 labels in words beside others in numbers, the first is bee"
    )
    assert sorted(labels(tmp_path / "x")[1].values()) == [NO_LABEL, NO_LABEL, 1]
    rows = [(f"{n}.json", b'{"text": "a", "label": 3}') for n in range(3)]
    images = [(f"{n}.png", picture()) for n in range(3)]
    write_tar(tmp_path / "y" / "0.tar", [*rows, *images])
    notes = open_shards(str(tmp_path / "y"), "train", 8).notes
    assert notes == ("3 labels in a .json, the first is y/0.tar/0.json: store it as .cls",)


def test_blank_words_are_said(tmp_path) -> None:
    members = [
        (f"{n}.{kind}", one) for n in range(3) for kind, one in (("png", picture()), ("txt", b" "))
    ]
    write_tar(tmp_path / "x" / "0.tar", members)
    assert WORDLESS in open_shards(str(tmp_path / "x"), "train", 8).first(1).skipped
