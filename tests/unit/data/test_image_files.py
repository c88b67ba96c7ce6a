import pytest

from muse_core.data.class_prompts import with_article
from muse_core.data.image_files import FileSource, open_folder
from muse_core.data.reading import Sample
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .noted import noted, opened, write


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


def counted(root) -> dict[str, int]:
    """Images by split, of those that there are; and nothing of them is dropped unsaid."""
    sources = opened(f"folder:{root}")
    assert sum(map(len, sources)) + noted(sources[0].notes) == sum(
        file.is_file() for file in root.rglob("*")
    )
    return {source.split: len(source) for source in sources}


@pytest.mark.parametrize(
    ("train", "val"),
    [
        *[("Training_Set", "validate"), ("train2017", "val2017"), ("images_train", "images-dev")],
        *[("TRN", "Eval"), (" train", "valid data")],
    ],
)
def test_splits_by_other_names_are_splits(tmp_path, train, val) -> None:
    write(tmp_path, [f"{train}/cat/1.png", f"{train}/dog/2.png", f"{val}/cat/3.png"])
    assert counted(tmp_path) == {"train": 2, "val": 1}
    assert open_folder(tmp_path, "train", 8).class_names == ("cat", "dog")


def test_split_folders_alone_beside_files_in_a_wrapper_and_below_classes(tmp_path) -> None:
    alone = write(tmp_path / "alone", [f"Train/cat/{n}.png" for n in range(9)])
    assert sum(counted(alone).values()) == 9
    beside = write(tmp_path / "beside", ["train/a/1.png", "dev/a/2.png", "3.png", "labels.csv"])
    assert counted(beside) == {"train": 1, "val": 1}
    wrapped = write(tmp_path / "wrapped", ["x-main/TRAIN/a/1.png", "x-main/TEST/b/2.png", "r.md"])
    assert counted(wrapped)["train"] == 1
    assert open_folder(wrapped, "train", 8).class_names == ("a", "b")
    twice = write(tmp_path / "twice", [f"x/y/{part}/a/1.png" for part in ("train", "val")])
    assert counted(twice) == {"train": 1, "val": 1}
    below = write(tmp_path / "below", [f"{c}/{s}/1.png" for c in "ab" for s in ("train", "val")])
    assert counted(below) == {"train": 2, "val": 2}
    assert open_folder(below, "val", 8).class_names == ("a", "b")


def test_unlabelled_test_images_leave_validation_to_the_training_ones(tmp_path) -> None:
    write(tmp_path, [f"Train/cat/{n}.png" for n in range(30)] + [f"Test/{n}.png" for n in range(4)])
    assert sum(counted(tmp_path).values()) == 30
    assert open_folder(tmp_path, "val", 8).notes == (
        "4 images outside a class folder, the first is Test/0.png: put it into one that has its "
        "name",
    )


def test_a_train_among_other_vehicles_is_a_class_and_other_mixtures_are_a_question(
    tmp_path,
) -> None:
    vehicles = write(tmp_path / "v", [f"{name}/{n}.png" for name in ("bus", "train") for n in "12"])
    write(tmp_path / "v", ["bus/double/3.png", "stray.png"])
    assert open_folder(vehicles, "train", 8).class_names == ("bus", "train")
    for name, files in {
        "flat": ["cat/1.png", "dog/2.png", "test/3.png"],
        "deep": ["train/cat/1.png", "unlabeled/2.png"],
    }.items():
        with pytest.raises(MuseError, match=r"beside others .*: put class folders into .*train"):
            open_folder(write(tmp_path / name, files), "train", 8)
    asked = open_folder(tmp_path / "deep", "train", 8, {"train": "train"})
    assert asked.class_names == ("cat",) and noted(asked.notes) == 1
    with pytest.raises(MuseError, match=r"'val' is \(.*\?\): say which, as \?val="):
        open_folder(
            write(tmp_path / "two", ["train/a/1.png", "val/a/1.png", "dev/a/1.png"]), "val", 8
        )


def test_two_classes_stay_two_and_synsets_get_their_words(tmp_path) -> None:
    write(tmp_path / "bears", ["polar_bear/1.png", "polar bear/2.png", "brown_bear/3.png"])
    source = open_folder(tmp_path / "bears", "train", 8)
    assert source.class_names == ("brown bear", "polar bear", "polar_bear")
    write(tmp_path / "net", [f"{n}/{n}_1.JPEG" for n in ("n01484850", "n02951358", "n00004475")])
    names = open_folder(tmp_path / "net", "train", 8).class_names
    assert names == ("organism", "great white shark", "canoe")


def test_names_of_old_archives_become_words(tmp_path) -> None:
    write(tmp_path, ["caf\udce9/1.png", "caf\udce9/2\udcff.png", "th\udce9/3.png"])
    batches = [source.first(9) for source in opened(f"folder:{tmp_path}")]
    words = {word for batch in batches for word in (*batch.captions, *batch.ids)}
    assert {"a photo of a café", "café/2ÿ.png"} <= words


def test_the_same_contents_at_another_place_are_the_same_data(tmp_path) -> None:
    import shutil

    from PIL import Image

    for name in ("cat/1.png", "dog/2.png"):
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "here" / name)
    shutil.copytree(tmp_path / "here", tmp_path / "there/again")
    opened = [open_folder(tmp_path / place, "train", 8) for place in ("here", "there/again")]
    assert opened[0].fingerprint == opened[1].fingerprint
    assert opened[0].file_sizes == opened[1].file_sizes and min(opened[0].file_sizes.values()) > 0


@pytest.mark.parametrize(
    ("files", "train"),
    [
        (
            ["training_set/training_set/cat/1.png", "test_set/test_set/cat/2.png"],
            {"training_set/training_set/cat/1.png"},
        ),
        (["train/images/cat/1.png", "valid/images/cat/2.png"], {"train/images/cat/1.png"}),
        (
            ["seg_train/seg_train/cat/1.png", "seg_test/seg_test/cat/2.png", "seg_pred/3.png"],
            {"seg_train/seg_train/cat/1.png"},
        ),
        (["train1/cat/1.png", "test1/cat/2.png"], {"train1/cat/1.png"}),
    ],
)
def test_what_repeats_a_split_or_holds_the_images_is_no_class(tmp_path, files, train) -> None:
    source = open_folder(write(tmp_path, files), "train", 8)
    assert {sample.id for sample in source.samples} == train and source.class_names == ("cat",)


def test_folders_of_images_only_are_no_classes(tmp_path) -> None:
    labelled = [f"train/cat/images/{n}.png" for n in range(9)]
    source = open_folder(write(tmp_path / "a", [*labelled, "val/images/1.png"]), "val", 8)
    assert source.class_names == ("cat",)
    assert source.notes == (
        "1 image outside a class folder: val/images/1.png; put it into one that has its name",
    )
    for place in ("train/", ""):
        root = write(tmp_path / f"b{place}", [f"{place}images/1.png", f"{place}masks/1.png"])
        with pytest.raises(MuseError, match=r"no images in class folders .2 images outside"):
            open_folder(root, "train", 8)
