import torch

from muse_core.foundations.image_normalisation import IMAGENET, Normalise


def test_the_mean_becomes_zero_and_one_deviation_becomes_one() -> None:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1).expand(1, 3, 2, 2) for values in IMAGENET)
    normalise = Normalise(*IMAGENET)
    torch.testing.assert_close(normalise(mean), torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(normalise(mean + std), torch.ones(1, 3, 2, 2), atol=1e-6, rtol=1e-5)
    assert not normalise.state_dict(), "constants stay out of checkpoints"
