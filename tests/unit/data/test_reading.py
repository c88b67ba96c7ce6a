import pickle

import pytest
import torch
from PIL import Image

from muse_core.data import reading
from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL
from muse_core.data.image_files import FileSource
from muse_core.data.loader import training_batches
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.errors import MuseError

MEANING = MaskMeaning(names=("ground", "pet"), classes={1: 1, 2: 0}, instances={1: 1})
NO_IMAGE = "not an image in a format that is read"


@pytest.fixture
def source(tmp_path, save) -> FileSource:
    """Six pictures whose red is 40 x index; 2 and 3 cannot be read; 5 is small."""
    for index in range(6):
        save(tmp_path / f"{index}.png", (40 * index, 0, 0), (8, 8) if index == 5 else (20, 20))
    (tmp_path / "2.png").write_bytes(b"broken")
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:40])
    samples = tuple(
        Sample(f"{index}.png", (f"picture {index}",), label=index) for index in range(6)
    )
    return FileSource("six", tmp_path, "train", 16, samples, tuple("abcdef"))


def test_a_batch_of_readable_files(source) -> None:
    batch = source.__getitems__([4, 0])
    assert batch.images.shape == (2, 3, 16, 16) and (
        batch.images[:, 0].mean((1, 2)) * 255
    ).round().tolist() == [160, 0]
    assert batch.ids == ("4.png", "0.png") and batch.captions == ("picture 4", "picture 0")
    assert batch.labels.tolist() == [4, 0] and batch.labels.dtype == torch.int64
    assert (
        batch.skipped == () == batch.enlarged
        and batch.class_masks is None
        and batch.instance_masks is None
    )


def test_the_next_readable_image_takes_a_broken_ones_place(source) -> None:
    batch = source.__getitems__([1, 2, 3])
    assert batch.ids == ("1.png", "4.png", "4.png") and batch.labels.tolist() == [1, 4, 4]
    assert tuple(name.split(" (")[0] for name in batch.skipped) == ("2.png", "3.png")
    assert batch.skipped[0] == f"2.png ({NO_IMAGE})"
    assert torch.equal(batch.images[1], source.__getitems__([4]).images[0])


def test_the_search_wraps_around(source, tmp_path) -> None:
    (tmp_path / "5.png").write_bytes(b"")
    assert source.__getitems__([5]).ids == ("0.png",)


def test_a_broken_file_is_tried_once_and_named_each_time(source, monkeypatch) -> None:
    tried = []
    read_photo = reading.read_photo
    monkeypatch.setattr(
        reading, "read_photo", lambda path, size: tried.append(path.name) or read_photo(path, size)
    )
    first, again = source.__getitems__([2]).skipped, source.__getitems__([2]).skipped
    assert first == again and len(first) == 2
    assert tried.count("2.png") == tried.count("3.png") == 1
    assert set(source.unreadable) == {"2.png", "3.png"} and all(source.unreadable.values())


def test_small_pictures_are_enlarged_and_listed(source) -> None:
    batch = source.__getitems__([5, 0])
    assert batch.enlarged == ("5.png",) and batch.images.shape == (2, 3, 16, 16)


def test_when_all_are_broken_the_folder_is_named(source, tmp_path) -> None:
    for index in range(6):
        (tmp_path / f"{index}.png").write_bytes(b"broken")
    with pytest.raises(MuseError, match=f"None of the 6 train images in {tmp_path} can be read"):
        source.first(2)


def test_masks_are_translated_and_absent_ones_are_void(tmp_path, save) -> None:
    save(tmp_path / "a.png"), save(tmp_path / "b.png")
    trimap = Image.new("L", (40, 32), 1)
    trimap.paste(2, (0, 0, 20, 32))
    trimap.paste(3, (18, 0, 22, 32))
    trimap.save(tmp_path / "a_mask.png")
    samples = (Sample("a.png", ("a",), mask="a_mask.png"), Sample("b.png", ("b",)))
    batch = FileSource("two", tmp_path, "val", 32, samples, masks=MEANING).first(2)
    assert batch.labels.tolist() == [NO_LABEL, NO_LABEL]
    assert batch.class_masks[0, 0, [0, 15, 31]].tolist() == [0, IGNORED_PIXEL, 1]
    assert batch.instance_masks[0, 0, [0, 15, 31]].tolist() == [0, 0, 1]
    assert (batch.class_masks[1] == IGNORED_PIXEL).all() and (batch.instance_masks[1] == 0).all()


def test_a_sample_whose_mask_is_broken_is_replaced(tmp_path, save) -> None:
    save(tmp_path / "a.png"), save(tmp_path / "b.png"), save(tmp_path / "b_mask.png", 2, mode="L")
    (tmp_path / "a_mask.png").write_bytes(b"broken")
    samples = (
        Sample("a.png", ("a",), mask="a_mask.png"),
        Sample("b.png", ("b",), mask="b_mask.png"),
    )
    batch = FileSource("two", tmp_path, "val", 32, samples, masks=MEANING).first(1)
    assert batch.ids == ("b.png",) and batch.skipped == (f"a.png ({NO_IMAGE})",)


def test_masks_meaning_without_mask_files_gives_none(tmp_path, save) -> None:
    save(tmp_path / "a.png")
    source = FileSource("one", tmp_path, "val", 8, (Sample("a.png", ("a",)),), masks=MEANING)
    assert source.first(1).class_masks is None and source.mask_class_names == ()


def test_worker_processes_can_hold_it(source) -> None:
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(copy.first(2).images, source.first(2).images)
    batches = list(training_batches(source, batch_size=3, seed=0, start=0, stop=2, workers=1))
    assert [len(batch) for batch in batches] == [3, 3]


def test_what_masks_may_mean_is_said(tmp_path, save) -> None:
    mask = Image.new("L", (20, 20), 0)
    mask.paste(255, (0, 0, 9, 20))
    mask.save(tmp_path / "mask.png")
    save(tmp_path / "0.png", size=(20, 20))
    said = {}
    for names in (("thing",), ("ground", "thing"), ("a", "b", "c")):
        samples = (Sample("0.png", ("a",), mask="mask.png"),)
        meaning = MaskMeaning(names)
        batch = FileSource("x", tmp_path, "train", 16, samples, masks=meaning).first(1)
        said[len(names)] = (batch.skipped, set(batch.class_masks.unique().tolist()))
    assert said == {
        1: (("masks of 0 and 255 with one class: 255 was left void",), {0, 255}),
        2: (("masks of 0 and 255: 255 was read as thing",), {0, 1}),
        3: ((), {0, 255}),
    }
