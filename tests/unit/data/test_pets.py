import pytest
from PIL import Image

from muse_core.data.pets import open_pets
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError


@pytest.fixture
def pets(tmp_path, save):
    """Two breeds, 4 trainval and 8 test images each; trimaps for Abyssinian only. Returns the
    folder above.
    """
    home = tmp_path / "oxford-iiit-pet"
    (home / "annotations" / "trimaps").mkdir(parents=True)
    lists = {"trainval.txt": ["# Image CLASS-ID SPECIES BREED ID"], "test.txt": []}
    for name, class_id in (("Abyssinian", 1), ("yorkshire_terrier", 37)):
        for index in range(12):
            lists["trainval.txt" if index < 4 else "test.txt"].append(
                f"{name}_{index} {class_id} 1 1"
            )
            save(home / "images" / f"{name}_{index}.jpg")
    for index in range(12):
        trimap = Image.new("L", (40, 32), 2)
        trimap.paste(1, (20, 0, 40, 32))
        trimap.paste(3, (18, 0, 22, 32))
        trimap.save(home / "annotations" / "trimaps" / f"Abyssinian_{index}.png")
    for file, lines in lists.items():
        (home / "annotations" / file).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_official_lists_and_halves(pets) -> None:
    train, val, test = (
        {sample.id for sample in open_pets(pets, split, 8).samples} for split in SPLITS
    )
    assert len(train) == 8 and len(val | test) == 16 and val and test
    assert not val & test and not train & (val | test)


def test_labels_names_and_captions(pets) -> None:
    source = open_pets(pets, "train", 8)
    batch = source.first(8)
    assert source.class_names == ("Abyssinian", "yorkshire terrier")
    by_label = {
        0: "a photo of an Abyssinian, a type of pet",
        1: "a photo of a yorkshire terrier, a type of pet",
    }
    assert dict(zip(batch.labels.tolist(), batch.captions, strict=True)) == by_label


def test_trimaps_become_class_and_instance_masks(pets) -> None:
    batch = open_pets(pets, "train", 32).first(8)
    for row, label in enumerate(batch.labels.tolist()):
        found = (
            batch.class_masks[row, 0, [0, 15, 31]].tolist(),
            batch.instance_masks[row, 0, [0, 15, 31]].tolist(),
        )
        assert found == (([0, 255, 1], [0, 0, 1]) if label == 0 else ([255, 255, 255], [0, 0, 0]))


def test_the_inner_folder_is_as_good_as_the_outer(pets) -> None:
    outer, inner = open_pets(pets, "val", 8), open_pets(pets / "oxford-iiit-pet", "val", 8)
    assert outer.samples == inner.samples and outer.fingerprint == inner.fingerprint


def test_no_trimaps_no_masks(pets) -> None:
    for trimap in (pets / "oxford-iiit-pet" / "annotations" / "trimaps").iterdir():
        trimap.unlink()
    batch = open_pets(pets, "train", 8).first(2)
    assert batch.class_masks is None and batch.instance_masks is None


def test_another_layout_is_a_sentence(tmp_path, pets) -> None:
    with pytest.raises(MuseError, match="There is no folder"):
        open_pets(tmp_path / "nowhere", "train", 8)
    with pytest.raises(
        MuseError, match="is not an Oxford-IIIT Pet folder: it should have oxford-iiit-pet/images"
    ):
        open_pets(pets / "oxford-iiit-pet" / "images", "train", 8)
    with pytest.raises(MuseError, match="Unknown split 'trainval'"):
        open_pets(pets, "trainval", 8)
    for image in (pets / "oxford-iiit-pet" / "images").iterdir():
        image.unlink()
    with pytest.raises(MuseError, match="holds none of the train images"):
        open_pets(pets, "train", 8)


@pytest.mark.parametrize("line", ["Abyssinian_1", "Abyssinian_1 38 1 1", "Abyssinian_1 cat 1 1"])
def test_a_damaged_list_is_a_sentence(pets, line) -> None:
    (pets / "oxford-iiit-pet" / "annotations" / "test.txt").write_text(
        f"Abyssinian_5 1 1 1\n{line}\n"
    )
    with pytest.raises(MuseError, match=r"Line 2 of .*test.txt is not"):
        open_pets(pets, "val", 8)


def test_the_real_folders(photographs) -> None:
    source = open_pets(photographs("oxford_pets_seg"), "val", 32)
    names = (photographs("oxford_pets") / "classes.txt").read_text().split("\n")[:37]
    assert set(source.class_names) <= set(names) and len(source.class_names) > 30
    batch = source.first(16)
    for name, label in zip(batch.ids, batch.labels.tolist(), strict=True):
        assert (
            name.removeprefix("images/").rsplit("_", 1)[0].replace("_", " ")
            == source.class_names[label]
        )
    assert set(batch.class_masks.unique().tolist()) == {0, 1, 255} and batch.skipped == ()
    assert ((batch.class_masks == 1) == (batch.instance_masks == 1)).all()


def test_what_lists_and_folders_do_not_share_is_noted(pets, save) -> None:
    home = pets / "oxford-iiit-pet"
    (home / "images" / "Abyssinian_1.jpg").rename(home / "images" / "Abyssinian_1.JPG")
    (home / "images" / "Abyssinian_2.jpg").unlink()
    save(home / "images" / "stray_1.jpg")
    train = home / "annotations" / "trainval.txt"
    train.write_text(train.read_text(), encoding="utf-8-sig")
    notes = open_pets(pets, "train", 8).notes
    assert len(notes) == 2 and "1 image outside the lists: images/stray_1.jpg" in notes[0]
    assert "1 line without an image: Abyssinian_2" in notes[1]
    assert len(open_pets(pets, "train", 8)) == 7
