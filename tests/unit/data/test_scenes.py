import pytest
import torch
import torch.nn.functional as F

from muse_core.data.scenes import (
    COLOURS,
    MIN_VISIBLE_PIXELS,
    OBJECTS,
    SPLITS,
    TEXTURES,
    Scenes,
    scene_numbers,
)
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError


@pytest.fixture(scope="module")
def batch():
    return Scenes("val", 64).first(200)


def test_a_sample_is_the_same_alone_or_in_any_batch_in_any_order() -> None:
    source = Scenes("train", 32)
    together = source.__getitems__([5, 99_999, 17, 0])
    for row, index in enumerate([5, 99_999, 17, 0]):
        alone = Scenes("train", 32).__getitems__([index])
        assert (
            torch.equal(alone.images[0], together.images[row])
            and alone.captions[0] == together.captions[row]
        )
        assert (
            torch.equal(alone.class_masks[0], together.class_masks[row])
            and alone.ids[0] == together.ids[row]
        )
        assert torch.equal(alone.instance_masks[0], together.instance_masks[row])
    assert torch.equal(source.__getitems__([0, 17]).images, together.images[[3, 2]])


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), Scenes("val", 32).first(2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(Scenes("val", 32).first(2).images, first.images)


def test_splits_are_disjoint_ranges() -> None:
    ranges = [range(first, first + length) for first, length in SPLITS.values()]
    for one in ranges:
        assert all(
            one is other or one.stop <= other.start or other.stop <= one.start for other in ranges
        )
    ids = [set(Scenes(split, 8).first(5).ids) for split in SPLITS]
    assert len(set().union(*ids)) == 5 * len(SPLITS)


def test_splits_and_seeds_draw_other_scenes() -> None:
    images = [Scenes(split, 32, seed).first(4).images for split in SPLITS for seed in (0, 1)]
    assert all(not torch.equal(a, b) for row, a in enumerate(images) for b in images[row + 1 :])
    names = {
        Scenes(split, size, seed).fingerprint
        for split in SPLITS
        for seed in (0, 1)
        for size in (32, 64)
    }
    assert len(names) == 4 * len(SPLITS)


def test_scene_numbers_are_pure_and_uniform() -> None:
    numbers = scene_numbers(0, list(range(500)))
    assert (numbers[7] == scene_numbers(0, [7])[0]).all() and (
        numbers[7] != scene_numbers(1, [7])[0]
    ).any()
    assert (
        numbers.min() >= 0 and numbers.max() <= 1 and numbers.mean() == pytest.approx(0.5, abs=0.01)
    )


def mutual_information(a: torch.Tensor, b: torch.Tensor) -> float:
    """In nats; about (rows - 1)(columns - 1) / 2n between independent variables."""
    table = F.one_hot(a).float().T @ F.one_hot(b).float() / len(a)
    expected = table.sum(1, keepdim=True) * table.sum(0, keepdim=True)
    return float((table * (table / expected).clamp(min=1e-12).log()).sum())


@pytest.mark.parametrize("attribute", ["colour", "texture"])
def test_colour_and_texture_do_not_predict_shape(attribute) -> None:
    scenes = Scenes("train", 64).parameters(list(range(2000)))
    for k in range(OBJECTS):
        assert mutual_information(scenes.shape[:, k], getattr(scenes, attribute)[:, k]) < 0.03
    assert (
        mutual_information(scenes.shape[:, 0], scenes.shape[:, 0]) > 2
    )  # the measure sees dependence when there is some


def test_every_shape_colour_and_texture_is_equally_likely() -> None:
    scenes = Scenes("train", 64).parameters(list(range(2000)))
    for values, names in (
        (scenes.shape, SHAPES),
        (scenes.colour, COLOURS),
        (scenes.texture, TEXTURES),
    ):
        shares = values.flatten().bincount(minlength=len(names)) / values.numel()
        assert len(shares) == len(names) and (shares * len(names) - 1).abs().max() < 0.2


def test_images_are_in_unit_range_and_not_flat(batch) -> None:
    assert batch.images.dtype == torch.float32 and batch.images.isfinite().all()
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert (batch.images.std((1, 2, 3)) > 0.02).all()


def test_instance_masks_number_objects_and_class_masks_name_them(batch) -> None:
    assert set(batch.instance_masks.unique().tolist()) <= set(range(OBJECTS + 1))
    assert (
        (batch.instance_masks > 0) == (batch.class_masks > 0)
    ).all() and batch.class_masks.max() <= len(SHAPES)
    for instances, classes in zip(batch.instance_masks, batch.class_masks, strict=True):
        assert all(len(classes[instances == k].unique()) == 1 for k in instances.unique())


def test_the_label_is_the_class_of_the_largest_visible_object(batch) -> None:
    for row, label in enumerate(batch.labels.tolist()):
        instances = batch.instance_masks[row]
        largest = instances[instances > 0].bincount().argmax()
        assert batch.class_masks[row][instances == largest].unique().tolist() == [label + 1]


def test_captions_name_the_largest_objects_shape_first(batch) -> None:
    for caption, label in zip(batch.captions, batch.labels.tolist(), strict=True):
        named = [word for word in caption.split() if word in SHAPES]
        assert named[0] == SHAPES[label] and len(named) <= 2


def test_captions_speak_of_objects_that_can_be_seen(batch) -> None:
    for row, caption in enumerate(batch.captions):
        sizes = batch.class_masks[row].flatten().bincount(minlength=len(SHAPES) + 1)
        assert all(
            sizes[1 + SHAPES.index(word)] >= MIN_VISIBLE_PIXELS
            for word in caption.split()
            if word in SHAPES
        )


def test_captions_drop_attributes_at_random_and_say_relations(batch) -> None:
    coloured = sum(
        any(colour in caption.split() for colour in COLOURS) for caption in batch.captions
    )
    assert 60 < coloured < 180 and any(" left of " in caption for caption in batch.captions)
    assert all(caption.startswith(("a ", "an ")) for caption in batch.captions)
    assert not any(
        f"a {vowel}" in caption for caption in batch.captions for vowel in ("orange", "arrow")
    )


def test_hourglass_takes_an(batch) -> None:
    assert not any("a hourglass" in caption for caption in batch.captions)


def test_prompts_are_the_words_of_captions() -> None:
    prompts = Scenes("val", 64).class_prompts()
    assert [len(each) for each in prompts] == [1 + len(COLOURS) + len(TEXTURES)] * len(SHAPES)
    assert {"a star", "an orange star", "a striped star"} < set(prompts[SHAPES.index("star")])
    assert "an hourglass" in prompts[SHAPES.index("hourglass")]


def test_a_relation_is_true_of_the_picture() -> None:
    source = Scenes("val", 64)
    batch, scenes = source.first(200), source.parameters(list(range(200)))
    checked = 0
    for row, caption in enumerate(batch.captions):
        if " left of " not in caption:
            continue
        subject, other = (
            batch.instance_masks[row]
            .flatten()
            .bincount(minlength=OBJECTS + 1)[1:]
            .argsort(descending=True)[:2]
        )
        assert scenes.centre[row, subject, 0] < scenes.centre[row, other, 0]
        checked += 1
    assert checked >= 3


def test_an_unknown_split_is_a_sentence() -> None:
    with pytest.raises(
        MuseError, match="Unknown split of scenes 'trian': choose one of train, val, test"
    ):
        Scenes("trian")


def test_thorough_captions_name_every_visible_object_of_the_same_images() -> None:
    brief, thorough = Scenes("val").first(64), Scenes("val").described().first(64)
    assert torch.equal(brief.images, thorough.images) and brief.ids != thorough.ids
    for text, instances in zip(thorough.captions, thorough.instance_masks, strict=True):
        visible = sum(int((instances == k + 1).sum() >= 24) for k in range(3))
        assert sum(text.count(shape) for shape in Scenes.class_names) == max(1, visible), text
