import pytest

from muse_core import paths
from muse_core.data.sources import OPENERS, open_source, options_of
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError


def test_the_table_is_the_vocabulary() -> None:
    assert list(OPENERS) == [
        "scenes",
        "folder",
        "captions",
        "masks",
        "pets",
        "wds",
        "hf",
        "hf-stream",
        "mix",
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_scenes(split) -> None:
    source = open_source("scenes", split, 32, seed=3)
    assert source.name == "scenes" and source.first(2).images.shape == (2, 3, 32, 32)
    assert source.fingerprint != open_source("scenes", split, 32, seed=4).fingerprint


def test_a_path_is_tried_from_here_and_from_the_workspace(tmp_path, save, monkeypatch) -> None:
    for index in range(3):
        save(tmp_path / "photos" / "cat" / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    here = open_source("folder:photos", "train", 8)
    monkeypatch.chdir(paths.notebooks().parent)
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    assert open_source("folder:photos", "train", 8).samples == here.samples
    assert open_source(f"folder:{tmp_path / 'photos'}", "train", 8).fingerprint == here.fingerprint
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("folder:~/photos", "train", 8).samples == here.samples


@pytest.mark.parametrize(
    ("spec", "size", "sentence"),
    [
        (
            "scense",
            8,
            "'scense': choose one of scenes, folder:PATH, captions:PATH, masks:PATH, pets:PATH",
        ),
        ("photos/cats", 8, "Unknown data source"),
        ("", 8, "Unknown data source"),
        ("scenes:here", 8, "takes no path"),
        ("folder", 8, "needs a path: write 'folder:PATH'"),
        ("pets:", 8, "needs a path"),
        ("folder:/nowhere/at/all", 8, "There is no folder /nowhere/at/all"),
        ("captions:/nowhere/at/all", 8, "There is no folder /nowhere/at/all"),
        ("masks:/nowhere/at/all", 8, "There is no folder /nowhere/at/all"),
        ("pets:/nowhere/at/all", 8, "There is no folder /nowhere/at/all"),
        ("wds:", 8, "needs a pattern: write 'wds:PATTERN'"),
        (
            "wds:/nowhere/at/{0..3}.tar",
            8,
            "4 of the 4 shards of .* are absent, the first is /nowhere/at/0.tar",
        ),
        ("hf:", 8, "needs a name: write 'hf:NAME'"),
        ("mix:", 8, "write 'mix:27"),
        ("mix:2*scenes,3*folder:/nowhere/at/all", 8, "There is no folder /nowhere/at/all"),
        ("folder:~nobody-of-this-name/photos", 8, "can be no path"),
        ("folder:" + "x" * 5000, 8, "can be no path"),
        ("folder:a\0b", 8, "NUL character"),
        ("scenes", 0, "image_size is 0 pixels"),
    ],
)
def test_mistakes_are_one_sentence(spec, size, sentence) -> None:
    with pytest.raises(MuseError, match=sentence) as caught:
        open_source(spec, "train", size)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_an_unknown_split_is_named_by_every_source(tmp_path, save) -> None:
    save(tmp_path / "cat" / "1.png")
    for spec in ("scenes", f"folder:{tmp_path}"):
        with pytest.raises(MuseError, match=r"Unknown split.*'training'"):
            open_source(spec, "training", 8)


def test_every_real_source_yields_the_same_kind_of_batch(photographs) -> None:
    folders = {
        "oxford_pets_seg": "pets",
        "coco_mini": "captions",
        "imagenet1000_sample": "captions",
        "camvid": "masks",
    }
    for name, spec in folders.items():
        source = open_source(f"{spec}:{photographs(name)}", "train", 24)
        batch = source.first(3)
        assert (
            batch.images.shape == (3, 3, 24, 24)
            and 0 <= batch.images.min() <= batch.images.max() <= 1
        )
        assert len(batch) == len(batch.captions) == len(batch.labels) == 3
        assert batch.skipped == source.notes


def test_photographs_and_their_masks_are_no_two_classes(photographs) -> None:
    place = photographs("camvid")
    with pytest.raises(MuseError, match=r"images outside a class folder, the first is images/"):
        open_source(f"folder:{place}", "val", 24)
    assert open_source(f"masks:{place}", "val", 24).first(3).images.shape == (3, 3, 24, 24)


def test_options_stand_behind_a_place(tmp_path) -> None:
    assert options_of("a/b?train=x&column=alt text") == (
        "a/b",
        {"train": "x", "column": "alt text"},
    )
    for place in ("a/b", "a?b", "what?=x", "?train=x", "a?train="):
        assert options_of(place) == (place, {})
    with pytest.raises(
        MuseError, match=r"Unknown option of a 'colum': choose one of column, train"
    ):
        options_of("a?colum=x")


def test_the_kinds_with_a_path_are_those_that_paths_knows() -> None:
    from muse_core.data.sources import OPENERS
    from muse_core.paths import PLACED

    assert set(PLACED) == OPENERS.keys() - {"scenes", "mix"}
