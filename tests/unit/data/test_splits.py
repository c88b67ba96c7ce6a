from pathlib import Path

import numpy as np
import pytest

from muse_core.data.splits import (
    EIGHT_ONE_ONE,
    HALVES,
    SPLITS,
    by_folder,
    dealt,
    dealt_positions,
    hash_fraction,
    keys_of,
    named_parts,
    share_of,
    split_called,
)
from muse_core.errors import MuseError

KEYS = [f"class{index % 7}/{index}.jpg" for index in range(2000)]
GOLDEN = 0.27738627318908726
PLACE = Path("photos")


def three(keys, parts=None) -> list[set[str]]:
    return [set(keys_of(split, parts or {"": list(keys)}, PLACE)) for split in SPLITS]


def test_hash_fraction_is_a_constant_of_the_text() -> None:
    assert hash_fraction("cat/1.jpg") == hash_fraction("cat/1.jpg") != hash_fraction("cat/2.jpg")
    assert all(0 <= hash_fraction(key) < 1 for key in KEYS)
    # A change of hash would move everyone's images.
    assert hash_fraction("muse") == pytest.approx(GOLDEN, abs=1e-12)


def test_every_key_is_in_one_split_and_shares_are_kept() -> None:
    parts = three(KEYS)
    assert set.union(*parts) == set(KEYS) and sum(map(len, parts)) == len(KEYS)
    assert [len(part) for part in parts] == pytest.approx([1600, 200, 200], abs=50)


def test_adding_files_moves_no_other_and_order_does_not_matter() -> None:
    before, after = three(KEYS[:1000]), three(KEYS[::-1])
    assert all(few <= many for few, many in zip(before, after, strict=True))


@pytest.mark.parametrize("count", [0, 1, 2, *range(3, 12)])
def test_small_sets_have_every_split_they_can(count) -> None:
    for first in range(0, 1990, 199):
        fractions = np.array([hash_fraction(key) for key in KEYS[first : first + count]])
        lengths = [len(part) for part in dealt_positions(fractions, EIGHT_ONE_ONE).values()]
        assert sum(lengths) == count and sum(map(bool, lengths)) == min(3, count)
        assert lengths[: min(2, count)] == [1] * count or count > 2


@pytest.mark.parametrize(
    ("parts", "split", "expected"),
    [
        (["train", "val", "test"], "val", ("val", {"val": 1.0})),
        (["train", "validation"], "val", ("validation", {"val": 1.0})),
        (["train", "test"], "train", ("train", {"train": 1.0})),
        (["train", "test"], "val", ("test", HALVES)),
        (["train", "test"], "test", ("test", HALVES)),
        (["train"], "test", ("train", EIGHT_ONE_ONE)),
        (["train", "extra"], "val", ("train", EIGHT_ONE_ONE)),
        (["all"], "train", ("all", EIGHT_ONE_ONE)),
    ],
)
def test_which_part_holds_a_split(parts, split, expected) -> None:
    assert share_of(split, parts, PLACE) == expected


def test_a_lone_test_split_is_halved_and_others_are_kept() -> None:
    train, val, test = three((), {"train": ["a"], "test": KEYS})
    assert train == {"a"} and val | test == set(KEYS) and not val & test
    assert len(val) == pytest.approx(1000, abs=120)
    assert keys_of("val", {"train": ["a"], "val": ["b"]}, PLACE) == ["b"]


def test_the_first_mix_classes_and_mistakes_are_named() -> None:
    first = keys_of("train", {"train": KEYS, "val": ["x"]}, PLACE)[:50]
    assert len({key.split("/")[0] for key in first}) == 7
    with pytest.raises(MuseError, match=r"Unknown split 'dev': choose one of train, val, test"):
        keys_of("dev", {"train": KEYS}, PLACE)
    with pytest.raises(MuseError, match=r"photos has no images for .* 'test'.*it has: train, val"):
        keys_of("test", {"train": KEYS, "val": ["x"]}, PLACE)
    with pytest.raises(MuseError, match=r"no images for the split 'test' \(it has: train, val\)"):
        dealt("test", np.array([0.2, 0.4]), EIGHT_ONE_ONE, PLACE)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[("TRAIN", "train"), ("Training", "train"), ("train_set", "train"), ("val2017", "val")],
        *[("Dev ", "val"), ("validation", "val"), ("testing", "test"), ("images-test", "test")],
        *[("trains", None), ("contest", None), ("cat", None), ("", None), (3, None)],
        *[("training cat", None), ("latest", None)],
    ],
)
def test_what_people_call_their_splits(name, split) -> None:
    assert split_called(name) == split


def test_parts_that_leave_it_open_are_a_question_and_options_answer_it() -> None:
    with pytest.raises(MuseError, match=r"'val' is \(val, dev\?\): say which, as \?val=val behind"):
        named_parts(["train", "val", "dev"], PLACE)
    with pytest.raises(MuseError, match=r"'train' is \(a, b\?\): say which, as \?train=a behind"):
        named_parts(["a", "b"], PLACE)
    with pytest.raises(
        MuseError, match=r"'train' is \(main\?\): say which, as \?train=main behind"
    ):
        share_of("train", ["main", "val"], PLACE)
    with pytest.raises(MuseError, match=r"Unknown part of photos .*'c': choose one of a, b"):
        named_parts(["a", "b"], PLACE, {"train": "c"})
    asked = {"train": "a", "val": "train", "column": "x"}
    assert named_parts(["a", "train", "b"], PLACE, asked) == {"train": "a", "val": "train"}
    assert share_of("train", ["a", "b"], PLACE, {"train": "b"}) == ("b", EIGHT_ONE_ONE)


def test_folders_of_a_path_may_say_the_split() -> None:
    assert by_folder(["a/TRAIN/1", "val\\2", "val/3"]) == {
        "train": ["a/TRAIN/1"],
        "val": ["val\\2", "val/3"],
    }
    assert by_folder(["train/1", "other/2", "val"]) == {"": ["train/1", "other/2", "val"]}
