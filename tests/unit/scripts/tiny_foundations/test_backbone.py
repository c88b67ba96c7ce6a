"""The backbone learns from captions alone, and leaves the text tower as it is."""

import math

import pytest
import torch

from muse_core.data.scenes import Scenes
from scripts.tiny_foundations.backbone import BagOfWords, train_backbone
from tests.integration.micro import small_text_tower


def test_rare_words_count_more_and_words_of_every_caption_do_not() -> None:
    captions = ["a red star", "a red moon", "a blue star", "a red ring"]
    bag = BagOfWords(4, captions)
    rarity = dict(zip(bag.places, bag.rarity.tolist(), strict=True))
    assert rarity["a"] == 0 and rarity["red"] == pytest.approx(math.log(4 / 3))
    with torch.no_grad():
        bag.head.weight.zero_()
        bag.head.bias.copy_(torch.tensor([100.0 * (word == "moon") for word in bag.places]))
    weight = math.log(4) / (math.log(4) + math.log(4 / 3))
    found = bag(torch.zeros(1, 4), ("a red moon",))
    assert found.item() == pytest.approx(100 * (1 - weight), rel=1e-4)


@pytest.mark.long
def test_training_moves_the_backbone_and_no_text_weight() -> None:
    torch.manual_seed(0)
    tower = small_text_tower()
    before = {name: weight.clone() for name, weight in tower.state_dict().items()}
    made, losses = train_backbone(Scenes("train"), steps=3, batch_size=8, seed=0, text_tower=tower)
    assert len(losses) == 3 and all(map(math.isfinite, losses))
    assert all(torch.equal(before[name], each) for name, each in tower.state_dict().items())
    assert made.text_tower is tower
