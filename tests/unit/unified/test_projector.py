"""The projector joins neighbours, and says what it cannot read."""

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.unified.projector import VisualProjector, scale_to


def test_four_neighbours_become_one_word_in_raster_order() -> None:
    torch.manual_seed(0)
    projector, tokens = VisualProjector(3, 8).eval(), torch.randn(2, 4 * 6, 3)
    found = projector(tokens, (4, 6))
    assert found.shape == (2, 6, 8) and projector.image_tokens((4, 6)) == 6
    grid = tokens.unflatten(1, (4, 6))
    for at in range(6):
        row, column = 2 * (at // 3), 2 * (at % 3)
        joined = grid[:, row : row + 2, column : column + 2].flatten(1)
        torch.testing.assert_close(found[:, at], projector.layers(joined))


def test_it_is_saved_and_opened(tmp_path) -> None:
    projector, tokens = VisualProjector(3, 8, unshuffle=1), torch.randn(1, 4, 3)
    projector.save_pretrained(tmp_path / "p")
    opened = VisualProjector.from_pretrained(tmp_path / "p")
    assert torch.equal(opened(tokens, (2, 2)), projector(tokens, (2, 2)))


def test_other_widths_and_grids_are_refused() -> None:
    projector = VisualProjector(3, 8)
    with pytest.raises(MuseError, match="are 5 wide, and the projector reads 3"):
        projector(torch.randn(1, 16, 5), (4, 4))
    with pytest.raises(MuseError, match="3 x 4 tokens does not divide into 2 x 2"):
        projector(torch.randn(1, 12, 3), (3, 4))


def test_its_words_begin_at_the_size_of_words() -> None:
    torch.manual_seed(0)
    projector, words = VisualProjector(16, 64), 0.02 * torch.randn(100, 64)
    scale_to(projector, words)
    found = projector(torch.randn(4, 64, 16), (8, 8))
    assert 0.3 < found.std() / words.std() < 3
