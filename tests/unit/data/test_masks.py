import pytest
from PIL import Image

from muse_core.data.batch import NO_LABEL
from muse_core.data.masks import open_masks
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .noted import noted, opened
from .noted import write as put


@pytest.fixture
def write(tmp_path, save):
    """Writes images, their masks (left half 0, right half 1) and the class names; returns the
    folder.
    """

    def folder(count: int, masks: str = "masks", classes: str = "classes.txt"):
        for index in range(count):
            save(tmp_path / "images" / f"{index}.jpg")
            mask = save(tmp_path / masks / f"{index}.png", 0, mode="L")
            with Image.open(mask) as image:
                image.paste(1, (20, 0, 40, 32))
                image.save(mask)
        (tmp_path / classes).write_text("sky\nroad\n")
        return tmp_path

    return folder


def ids(root, split) -> set[str]:
    return {sample.id for sample in open_masks(root, split, 8).samples}


def test_masks_without_words_or_labels(write) -> None:
    source = open_masks(write(20), "train", 32)
    batch = source.first(3)
    assert source.class_names == () == tuple(
        source.class_prompts()
    ) and source.mask_class_names == ("sky", "road")
    assert batch.captions == ("a photo",) * 3 and batch.labels.tolist() == [NO_LABEL] * 3
    assert (
        batch.class_masks[:, 0, [0, 31]].tolist() == [[0, 1]] * 3 and batch.instance_masks is None
    )


def test_splits_by_hash_are_disjoint_and_complete(write) -> None:
    root = write(60)
    parts = [ids(root, split) for split in SPLITS]
    assert (
        len(set.union(*parts)) == 60 == sum(map(len, parts)) and all(parts) and len(parts[0]) > 40
    )


def test_the_official_split_is_used_and_unlisted_images_are_left_out(write) -> None:
    root = write(6)
    (root / "official_split.tsv").write_text(
        "0\ttrain\n1\ttrain\n\n2\tvalidation\n4\ttest\nabsent\ttrain\n"
    )
    assert [ids(root, split) for split in SPLITS] == [
        {"images/0.jpg", "images/1.jpg"},
        {"images/2.jpg"},
        {"images/4.jpg"},
    ]


def test_without_val_the_official_test_is_halved(write) -> None:
    root = write(9)
    (root / "official_split.tsv").write_text(
        "0\ttrain\n" + "".join(f"{index}\ttest\n" for index in range(1, 9))
    )
    val, test = ids(root, "val"), ids(root, "test")
    assert val and test and not val & test and len(val | test) == 8


def test_images_without_a_mask_are_left_out(write, save) -> None:
    root = write(9)
    save(root / "images" / "plain.jpg")
    assert len(set.union(*(ids(root, split) for split in SPLITS))) == 9


def test_voc21_masks_go_before_others(write) -> None:
    root = write(9)
    write(9, "masks_voc21", "classes_voc21.txt")
    source = open_masks(root, "val", 8)
    assert all(sample.mask.startswith("masks_voc21/") for sample in source.samples)


def test_a_mask_of_another_size_is_laid_over_the_whole_image(write, save) -> None:
    root = write(9)
    for index in range(9):
        save(root / "masks" / f"{index}.png", 1, (7, 9), "L")
    batch = open_masks(root, "train", 16).first(2)
    assert (
        batch.class_masks.shape == (2, 16, 16)
        and (batch.class_masks == 1).all()
        and batch.skipped == ()
    )


def test_other_layouts_are_sentences(tmp_path, write, save) -> None:
    with pytest.raises(MuseError, match="There is no folder"):
        open_masks(tmp_path / "nowhere", "train", 8)
    save(tmp_path / "images" / "1.jpg")
    with pytest.raises(
        MuseError, match=r"images with masks .*images/1.jpg.*: it should have PATH/images/NAME.jpg"
    ):
        open_masks(tmp_path, "train", 8)
    save(tmp_path / "masks" / "2.png", 0, mode="L")
    with pytest.raises(MuseError, match="holds no images with masks"):
        open_masks(tmp_path, "train", 8)
    (write(3) / "classes.txt").unlink()
    with pytest.raises(MuseError, match=r"have no names: write .*classes.txt, one name a line"):
        open_masks(tmp_path, "train", 8)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 train", r"Line 2 of .*official_split.tsv is not 'image's name <tab> split'"),
        ("1\tlater", r"Unknown split of 1 in .*official_split.tsv 'later': choose one of train"),
    ],
)
def test_a_damaged_split_list_is_a_sentence(write, line, sentence) -> None:
    root = write(3)
    (root / "official_split.tsv").write_text(f"0\ttrain\n{line}\n")
    with pytest.raises(MuseError, match=sentence):
        open_masks(root, "train", 8)


def test_real_street_scenes(photographs) -> None:
    root = photographs("camvid")
    assert [len(open_masks(root, split, 32)) for split in SPLITS] == [367, 101, 62]
    source = open_masks(root, "val", 32)
    batch = source.first(16)
    assert (
        len(source.mask_class_names) == 11
        and source.mask_class_names[3] == "road"
        and batch.skipped == ()
    )
    assert batch.class_masks[batch.class_masks != 255].max() < 11 and (batch.class_masks == 3).any()


def test_masks_are_paired_by_path_in_any_case(tmp_path) -> None:
    put(tmp_path, ["images/a/1.JPG", "images/b/1.jpg", "images/b/2.jpg", "images/c/3.jpeg"])
    put(tmp_path, ["masks/a/1.PNG", "masks/B/1.png", "masks/2.png", "masks/c/3.tif"])
    put(tmp_path, ["classes.txt"], b"sky\nroad\n")
    pairs = {
        sample.id: sample.mask
        for source in opened(f"masks:{tmp_path}")
        for sample in source.samples
    }
    assert pairs == {
        "images/a/1.JPG": "masks/a/1.PNG",
        "images/b/1.jpg": "masks/B/1.png",
        "images/b/2.jpg": "masks/2.png",
        "images/c/3.jpeg": "masks/c/3.tif",
    }


@pytest.mark.parametrize(
    "names",
    [
        ["images/a/1.jpg", "images/b/1.jpg", "masks/1.png"],
        ["images/1.jpg", "images/1.png", "masks/1.png"],
        ["images/1.jpg", "masks/1.png", "masks/1.tif"],
    ],
)
def test_two_for_one_are_shown(tmp_path, names) -> None:
    put(tmp_path, names), put(tmp_path, ["classes.txt"], b"sky\nroad\n")
    with pytest.raises(
        MuseError, match=r"leaves open whose mask is whose \(.*, masks/1.png"
    ) as said:
        open_masks(tmp_path, "train", 8)
    assert all(name.removeprefix("images/") in str(said.value) for name in names)


def test_numbers_beyond_the_classes_are_void_and_said(write, save) -> None:
    root = write(3)
    for index in range(3):
        save(root / "masks" / f"{index}.png", 7, mode="L")
    batch = open_masks(root, "train", 8).first(1)
    assert batch.class_masks.unique().tolist() == [255]
    assert batch.skipped == ("masks hold numbers beyond their 2 classes, left void",)


def test_a_split_list_names_files_as_it_likes(write) -> None:
    root = write(4)
    lines = "0.jpg\tTRAIN\r\nimages/1.jpg\ttraining\r\n2\tdev\r\n"
    (root / "official_split.tsv").write_text(lines, encoding="utf-8-sig", newline="")
    assert ids(root, "train") == {"images/0.jpg", "images/1.jpg"}
    assert open_masks(root, "val", 8).notes == (
        "1 image outside the split list: images/3.jpg; add a line for it",
    )


def test_lists_of_names_and_sub_folders_are_splits(tmp_path) -> None:
    names = [f"{part}/{n}" for part in ("train2017", "val2017") for n in range(3)]
    put(tmp_path, [f"images/{name}.jpg" for name in names])
    put(tmp_path, [f"masks/{name}.png" for name in names])
    put(tmp_path, ["classes.txt"], b"sky\nroad\n")
    assert {one.split("/")[1] for one in ids(tmp_path, "val")} == {"val2017"}
    put(tmp_path, ["TRAIN.txt"], b"val2017/0\r\nval2017/1.jpg\r\n")
    put(tmp_path, ["dev.txt"], b"\xef\xbb\xbftrain2017/0\r\n")
    assert ids(tmp_path, "train") == {"images/val2017/0.jpg", "images/val2017/1.jpg"}
    assert noted(open_masks(tmp_path, "val", 8).notes) == 3


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a/1.jpg", "masks/a/1_mask.png"),
        ("Images/1.jpg", "Masks/mask_1.PNG"),
        ("images/1.jpg", "masks/1.jpg.png"),
        ("images/x_leftImg8bit.png", "masks/x_gtFine_labelIds.png"),
        ("wrapped/images/1.jpg", "wrapped/masks/1.png"),
        ("train/images/1.jpg", "train/masks/1.png"),
    ],
)
def test_masks_as_people_name_them(tmp_path, image, mask) -> None:
    put(tmp_path, [image, mask])
    put(tmp_path / ("wrapped" if "wrapped" in image else "."), ["classes.txt"], b"sky\nroad\n")
    (sample,) = open_masks(tmp_path, "train", 8).samples
    assert (sample.id, sample.mask) == tuple(one.removeprefix("wrapped/") for one in (image, mask))


def test_splits_above_images_and_masks(tmp_path) -> None:
    names = [f"{split}/{n}.png" for split in ("train/{}", "Valid/{}", "rest/{}") for n in range(2)]
    put(tmp_path, [name.format(kind) for name in names for kind in ("images", "masks")])
    put(tmp_path, ["classes.txt"], b"sky\nroad\n")
    sources = opened(f"masks:{tmp_path}")
    assert [{sample.id for sample in source.samples} for source in sources] == [
        {"train/images/0.png", "train/images/1.png"},
        {"Valid/images/0.png", "Valid/images/1.png"},
    ]
    assert sources[0].notes == ("1 folder of no split: rest; call it train, val or test",)


def test_lists_of_names_where_people_have_them(tmp_path) -> None:
    put(tmp_path, [f"{kind}/a {n}.png" for kind in ("images", "masks") for n in range(4)])
    put(tmp_path, ["images/b.png", "masks/b.png"])
    put(tmp_path, ["classes.txt"], b"sky\nroad\n")
    put(tmp_path, ["split.csv"], b"")
    place = tmp_path / "ImageSets" / "Segmentation"
    put(place, ["trainval.txt"], b"a 0\na 1\na 2\nb")
    put(place, ["train.txt"], b"/data/x/images/a 0.png\na 1\nimages/b.png masks/b.png")
    put(place, ["val.txt"], b"a 2.png\n")
    train, val = opened(f"masks:{tmp_path}")
    assert {one.id for one in train.samples} == {f"images/{n}.png" for n in ("a 0", "a 1", "b")}
    assert [one.id for one in val.samples] == ["images/a 2.png"]
    assert [note.partition(":")[0] for note in train.notes] == [
        "1 list that is not read",
        "1 image outside the split list",
    ]
    put(place, ["val.txt"], b"a 1")
    with pytest.raises(MuseError, match=r"a 1 in two splits .see val.txt line 1"):
        open_masks(tmp_path, "train", 8)
    for name in ("trainval", "train", "val"):
        put(place, [f"{name}.txt"], b"zebra")
    with pytest.raises(MuseError, match="name none of its images"):
        open_masks(tmp_path, "train", 8)


def test_a_mask_that_is_void_all_over_is_said(write, save) -> None:
    root = write(3)
    for number in range(3):
        save(root / "masks" / f"{number}.png", 255, mode="L")
    assert any("255 all over" in words for words in open_masks(root, "train", 8).first(1).skipped)
