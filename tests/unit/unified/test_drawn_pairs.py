"""What a drawer learns from: images as their prompts say, and edits from the image before to the
one after.
"""

import pytest
import torch

from muse_core import paths
from muse_core.data.scenes import Scenes
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.evaluation.generation.prompt_following import prompt_following
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.generation.codecs import Codec
from muse_core.unified.drawn_pairs import DrawnPairs
from muse_core.unified.sight import Look

IMAGES = 200
SOURCE = Scenes("val").described()
SIDE = SOURCE.image_size


class Pixels(Codec):
    """Latents are the pixels themselves, so that they can be looked at."""

    device = torch.device("cpu")

    def __init__(self, gain: float = 1.0) -> None:
        self.gain, self.fingerprint = gain, "pixels"

    def encode(self, images):
        return self.gain * images


CODEC = Pixels()
PIXELS = Look(lambda images: (images.flatten(2).transpose(1, 2), (SIDE, SIDE)), "pixels")


@pytest.fixture(scope="module")
def pairs() -> DrawnPairs:
    return DrawnPairs.of(CODEC, PIXELS, SOURCE, IMAGES, edit_share=0.5)


@pytest.fixture(scope="module")
def detector():
    return load_scene_detector(paths.checkout() / "data/foundations/tiny/scene_detector")


def before(pairs: DrawnPairs) -> torch.Tensor:
    return pairs.tokens.float().transpose(1, 2).unflatten(2, (SIDE, SIDE))


def test_rows_that_draw_hold_their_scene_and_nothing_that_is_seen(pairs, detector) -> None:
    drawn = (~pairs.edits).nonzero().flatten().tolist()
    originals = SOURCE.first(IMAGES).images
    assert torch.equal(pairs.latents[drawn], originals[drawn])
    assert not pairs.tokens[drawn].any() and not pairs.before[drawn].any()
    # Some prompts are captions and some are in GenEval's forms; captions are read by the judge.
    captions = SOURCE.first(IMAGES).captions
    own = [row for row in drawn if pairs.prompts[row] == captions[row]]
    assert 0.45 < len(own) / len(drawn) < 0.9
    said = tuple(pairs.prompts[row] for row in own)
    assert prompt_following(detector, pairs.latents[own], said)["shape"].value > 0.9


def test_rows_that_edit_go_from_the_scene_before_to_the_one_after(pairs, detector) -> None:
    assert 0.4 < pairs.edits.float().mean() < 0.6
    edited = pairs.edits.nonzero().flatten().tolist()
    originals = SOURCE.first(IMAGES).images
    torch.testing.assert_close(before(pairs)[edited], originals[edited], atol=1e-3, rtol=0)
    assert torch.equal(pairs.before[edited], originals[edited].half())
    assert all(not torch.equal(pairs.latents[row], originals[row]) for row in edited)
    shapes = lambda images: [{each.shape for each in found} for found in detector.detect(images)]
    seen_before, seen_after = shapes(before(pairs)[edited]), shapes(pairs.latents[edited])
    removed = [
        (shape in seen_before[at], shape in seen_after[at])
        for at, row in enumerate(edited)
        for shape in SHAPES
        if pairs.prompts[row].startswith("remove ") and pairs.prompts[row].endswith(shape)
    ]
    assert len(removed) > 3
    there, still = (sum(each) / len(removed) for each in zip(*removed, strict=True))
    assert there > 0.9 and still < 0.1


def test_what_cannot_be_made_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="images=1 or more"):
        DrawnPairs.of(CODEC, None, SOURCE, 0)
    with pytest.raises(MuseError, match="nothing sees them"):
        DrawnPairs.of(CODEC, None, SOURCE, 8, edit_share=0.5)
    with pytest.raises(MuseError, match="not finite"):
        DrawnPairs.of(Pixels(float("nan")), None, SOURCE, 8)
