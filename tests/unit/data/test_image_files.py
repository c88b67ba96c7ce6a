import pytest

from muse_core.data.class_prompts import with_article
from muse_core.data.image_files import FileSource, open_folder
from muse_core.data.reading import Sample
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError


@pytest.fixture
def animals(tmp_path, save):
    for name in ("tabby_cat", "dog", "ant"):
        for index in range(40):
            save(tmp_path / name / f"{index}.jpg", size=(12, 12))
    return tmp_path


def ids(root, split) -> set[str]:
    return {sample.id for sample in open_folder(root, split, 8).samples}


def test_classes_are_sorted_folders_and_captions_say_them(animals) -> None:
    source = open_folder(animals, "train", 8)
    assert source.class_names == ("ant", "dog", "tabby cat")
    batch = source.first(30)
    for name, label, caption in zip(batch.ids, batch.labels.tolist(), batch.captions, strict=True):
        assert name.split("/")[0].replace("_", " ") == source.class_names[label]
        assert caption == f"a photo of {with_article(source.class_names[label])}"


def test_hashed_splits_are_disjoint_complete_and_stable_when_files_are_added(animals, save) -> None:
    before = {split: ids(animals, split) for split in SPLITS}
    assert len(set.union(*before.values())) == 120 == sum(map(len, before.values())) and all(
        before.values()
    )
    for index in range(100, 140):
        save(animals / "dog" / f"{index}.jpg", size=(12, 12))
    assert all(before[split] <= ids(animals, split) for split in SPLITS)


def test_the_order_does_not_follow_the_classes_and_is_repeatable(animals) -> None:
    first, again = open_folder(animals, "train", 8), open_folder(animals, "train", 8)
    assert set(first.first(20).labels.tolist()) == {0, 1, 2}
    assert first.first(20).ids == again.first(20).ids and first.fingerprint == again.fingerprint


def test_three_images_are_enough_for_every_split(tmp_path, save) -> None:
    for index in range(3):
        save(tmp_path / "cat" / f"{index}.png")
    assert [len(open_folder(tmp_path, split, 8)) for split in SPLITS] == [1, 1, 1]


def test_given_splits_are_used_and_classes_are_shared(tmp_path, save) -> None:
    for path in (
        "train/cat/1.png",
        "train/dog/2.png",
        "val/dog/3.png",
        "test/owl/4.png",
        "extra/cat/5.png",
    ):
        save(tmp_path / path)
    assert [ids(tmp_path, split) for split in SPLITS] == [
        {"train/cat/1.png", "train/dog/2.png"},
        {"val/dog/3.png"},
        {"test/owl/4.png"},
    ]
    val = open_folder(tmp_path, "val", 8)
    assert val.class_names == ("cat", "dog", "owl") and val.first(1).labels.tolist() == [1]


def test_without_val_the_test_folder_is_halved(tmp_path, save) -> None:
    save(tmp_path / "train/cat/0.png")
    for index in range(9):
        save(tmp_path / f"test/cat/{index}.png")
    val, test = ids(tmp_path, "val"), ids(tmp_path, "test")
    assert val and test and not val & test and len(val | test) == 9
    assert ids(tmp_path, "train") == {"train/cat/0.png"}


def test_without_a_test_folder_asking_for_it_is_a_clear_mistake(tmp_path, save) -> None:
    save(tmp_path / "train/cat/0.png"), save(tmp_path / "validation/cat/1.png")
    assert ids(tmp_path, "val") == {"validation/cat/1.png"}
    with pytest.raises(MuseError, match="no images for the split 'test'"):
        open_folder(tmp_path, "test", 8)


def test_nested_files_count_and_hidden_or_foreign_ones_do_not(tmp_path, save) -> None:
    for path in ("cat/a/b/1.PNG", "cat/2.jpeg", "cat/.3.png", ".cache/cat/4.png", "stray.png"):
        save(tmp_path / path)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    found = ids(tmp_path, "train") | ids(tmp_path, "val")
    assert found == {"cat/a/b/1.PNG", "cat/2.jpeg"} and open_folder(
        tmp_path, "train", 8
    ).class_names == ("cat",)


def test_mistakes_name_the_place_and_the_layout(tmp_path, save) -> None:
    with pytest.raises(MuseError, match=r"There is no folder .*nowhere.*sub-folder"):
        open_folder(tmp_path / "nowhere", "train", 8)
    save(tmp_path / "flat" / "1.png")
    with pytest.raises(
        MuseError,
        match=r"flat holds no images in class folders \(1 image outside.*it should have one sub-folder",
    ):
        open_folder(tmp_path / "flat", "train", 8)
    save(tmp_path / "file.png")
    with pytest.raises(MuseError, match="There is no folder"):
        open_folder(tmp_path / "file.png", "train", 8)


def test_a_corrupt_file_among_good_ones(animals) -> None:
    source = open_folder(animals, "val", 8)
    broken = source.samples[0].id
    (animals / broken).write_bytes((animals / broken).read_bytes()[:200])
    batch = source.first(4)
    assert (
        [name.split(" (")[0] for name in batch.skipped] == [broken]
        and batch.ids[0] == source.samples[1].id
        and len(batch) == 4
    )


def test_fingerprint_changes_with_files_words_size_and_split_only(tmp_path, save) -> None:
    listed = tuple(Sample(f"{index}.png", (f"picture {index}",), index) for index in range(6))
    for sample in listed:
        save(tmp_path / sample.id)

    def fingerprint(split="train", size=16, samples=listed) -> str:
        return FileSource("six", tmp_path, split, size, samples).fingerprint

    before = fingerprint()
    assert before == fingerprint() and str(tmp_path) not in before
    reworded = (Sample("0.png", ("other words",), 0), *listed[1:])
    others = {
        fingerprint(split="val"),
        fingerprint(size=32),
        fingerprint(samples=listed[:5]),
        fingerprint(samples=reworded),
    }
    save(tmp_path / "0.png", size=(60, 60))
    assert len({before, fingerprint(), *others}) == 6
