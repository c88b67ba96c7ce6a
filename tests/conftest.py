"""What every test shares: one seed, and the photographs some of them need."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test starts from the same random state, whatever ran before it."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real photographs beside the checkout. The test is skipped where there is none."""
    from muse_core import paths  # here, so that jaxtyping's import hook is in place before muse_core is imported

    folder = paths.root().parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no photographs: the folder shared/data beside the workspace is absent")
    return folder


@pytest.fixture
def impatient_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's DataLoader looks for dead workers every five seconds; here oftener."""
    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))
