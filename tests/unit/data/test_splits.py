from pathlib import Path

import pytest

from muse_core.data.splits import HALVES, SPLITS, choose, complete, deal, hash_fraction
from muse_core.errors import MuseError

KEYS = [f"class{index % 7}/{index}.jpg" for index in range(2000)]
GOLDEN = 0.27738627318908726


def test_hash_fraction_is_a_constant_of_the_text() -> None:
    assert hash_fraction("cat/1.jpg") == hash_fraction("cat/1.jpg") != hash_fraction("cat/2.jpg")
    assert all(0 <= hash_fraction(key) < 1 for key in KEYS)
    assert hash_fraction("muse") == pytest.approx(
        GOLDEN, abs=1e-12
    )  # a change of hash would move everyone's images


def test_every_key_is_in_one_split_and_shares_are_kept() -> None:
    parts = deal(KEYS)
    assert sorted(key for part in parts.values() for key in part) == sorted(KEYS)
    assert len(parts["val"]) == pytest.approx(200, abs=50) and len(parts["test"]) == pytest.approx(
        200, abs=50
    )


def test_adding_files_moves_no_other_and_order_does_not_matter() -> None:
    before, after = deal(KEYS[:1000]), deal(reversed(KEYS))
    assert all(set(before[split]) <= set(after[split]) for split in SPLITS)


@pytest.mark.parametrize("count", range(3, 12))
def test_small_sets_have_every_split(count) -> None:
    parts = deal(KEYS[:count])
    assert all(parts[split] for split in SPLITS) and sum(map(len, parts.values())) == count


def test_two_images_make_train_and_val_and_one_makes_train() -> None:
    for first in range(60):
        assert [len(part) for part in deal(KEYS[first : first + 2]).values()] == [1, 1, 0]
        assert deal(KEYS[first : first + 1]) == {"train": [KEYS[first]], "val": [], "test": []}
    assert not any(deal([]).values())


def test_a_lone_test_split_is_halved_and_others_are_kept() -> None:
    assert complete({"train": ["a"], "val": ["b"]}) == {"train": ["a"], "val": ["b"]}
    parts = complete({"train": ["a"], "test": KEYS})
    assert set(parts["val"]) | set(parts["test"]) == set(KEYS) and not set(parts["val"]) & set(
        parts["test"]
    )
    assert parts["train"] == ["a"] and len(parts["val"]) == pytest.approx(1000, abs=120)
    assert deal(KEYS, HALVES)["val"] == parts["val"]


def test_choose_mixes_classes_and_names_mistakes() -> None:
    first = choose({"train": sorted(KEYS)}, "train", Path("photos"))[:50]
    assert len({key.split("/")[0] for key in first}) == 7
    with pytest.raises(MuseError, match=r"Unknown split 'dev': choose one of train, val, test"):
        choose({"train": KEYS}, "dev", Path("photos"))
    with pytest.raises(
        MuseError, match=r"photos has no images for the split 'test'.*it has: train"
    ):
        choose({"train": KEYS}, "test", Path("photos"))
