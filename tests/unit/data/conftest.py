"""Small image files, the real photographs where this machine has them, and no Hugging Face hub."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from muse_core import paths


@pytest.fixture
def photographs() -> Callable[[str], Path]:
    """``photographs("coco_mini")``: a folder of shared/data; the test is skipped where it is
    absent.
    """

    def folder(name: str) -> Path:
        place = paths.root().parent / "shared" / "data" / name
        if not place.is_dir():
            pytest.skip(f"needs the development photographs shared/data/{name} beside the checkout")
        return place

    return folder


@pytest.fixture
def save() -> Callable[..., Path]:
    """``save(path, colour, size)`` writes a one-colour picture, making its folder."""

    def write(
        path: Path,
        colour: object = (200, 100, 50),
        size: tuple[int, int] = (40, 32),
        mode: str = "RGB",
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, colour).save(path)
        return path

    return write


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` keeps its cache in the test's folder, never asks the network, and does not wait
    five seconds at the end of every stream.
    """
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    datasets.disable_progress_bars()
