"""The temperature of the contrast: where it starts, and how cold it may become."""

import pytest
import torch

from muse_core.models.semantic_head import SemanticHead


def test_the_temperature_starts_as_clips_and_is_capped() -> None:
    head = SemanticHead(8, 16, 4)
    assert head.scale.item() == pytest.approx(1 / 0.07)
    for log_scale, scale in ((3.0, torch.tensor(3.0).exp().item()), (4.7, 100.0), (50.0, 100.0)):
        with torch.no_grad():
            head.log_scale.fill_(log_scale)
        assert head.scale.item() == pytest.approx(scale, rel=1e-5)
