"""An edit leaves everything outside its mask bit for bit, and a weaker one leaves more inside."""

import pytest
import torch

from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.generation.editing import background_psnr, edit, object_mask

from .small_generators import small_pipeline

PIPELINE = small_pipeline()
SIZE = PIPELINE.vae.config.image_size


def images() -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def half() -> torch.Tensor:
    return (torch.arange(SIZE) < SIZE // 2).expand(2, SIZE, SIZE)


def edited(strength: float = 1.0, mask=None, **options):
    seeded = torch.Generator().manual_seed(1)
    return edit(
        PIPELINE, images(), ["a red star", "a circle"], mask, strength, 3.0, 4, seeded, **options
    )


def test_the_background_is_bit_equal_in_latent_and_the_inside_is_not() -> None:
    found = edited(mask=half())
    outside = ~found.inside.expand_as(found.latents)
    assert found.background_equal() and torch.equal(found.latents[outside], found.before[outside])
    assert 0 < found.inside.float().mean() < 1 and not torch.allclose(
        found.latents[~outside], found.before[~outside]
    )


def test_a_weaker_edit_stays_nearer() -> None:
    away = [
        (edited(strength).latents - edited(strength).before).square().mean()
        for strength in (0.25, 1.0)
    ]
    assert away[0] < away[1]


def test_background_psnr_looks_outside_alone() -> None:
    original = images()
    changed = torch.where(half()[:, None], 1 - original, original)
    assert (background_psnr(changed, original, half()) > 90).all()
    assert (background_psnr(changed, original, ~half()) < 30).all()


def test_the_mask_is_the_box_of_the_largest_object_or_the_middle() -> None:
    instances = torch.zeros(2, 16, 16, dtype=torch.long)
    instances[0, 2:5, 3:9] = 2
    instances[0, 12:14, 12:14] = 1
    images, labels = torch.zeros(2, 3, 16, 16), torch.zeros(2, dtype=torch.long)
    batch = Batch(images, ("", ""), labels, ("a", "b"), instance_masks=instances)
    box, middle = object_mask(batch)
    assert box[2:5, 3:9].all() and box.sum() == 18
    assert middle[4:12, 4:12].all() and middle.sum() == 64
    unmarked = Batch(images, ("", ""), labels, ("a", "b"))
    assert torch.equal(object_mask(unmarked)[0], middle)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strength": 0.0}, "strength must be above 0"),
        ({"strength": 1.5}, "strength must be above 0"),
        ({"mask": torch.ones(2, 3, 3, dtype=torch.bool)}, "The mask is"),
    ],
)
def test_bad_edits_are_sentences(options, sentence) -> None:
    with pytest.raises(MuseError, match=sentence):
        edited(**options)
    with pytest.raises(MuseError, match="2 images and 1 prompts"):
        edit(PIPELINE, images(), ["a star"])
