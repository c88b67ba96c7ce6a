"""What every test shares: one seed, and the photographs some of them need."""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

# As muse_core does, which is imported later here: jaxtyping's import hook has to be there first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test starts from the same random state and arithmetic, whatever ran before it."""
    import torch

    torch.manual_seed(0)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real photographs beside the checkout. The test is skipped where
    there is none.
    """
    from muse_core import (
        paths,  # here, so that jaxtyping's import hook is in place before muse_core is imported
    )

    folder = paths.root().parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no photographs: the folder shared/data beside the workspace is absent")
    return folder


@pytest.fixture
def impatient_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader looks for dead workers every five seconds; here oftener."""
    from muse_core.data import loader

    monkeypatch.setattr(loader, "LOOK_EVERY", 0.2)


ALONE = ("00", "06", "07", "09", "studies")
"""Notebooks that read no run of another one."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadscope``: notebooks that go on from the run of those before them go to one
    worker, in order; the others to another.
    """
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class NotebooksTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if not nodeid.startswith("notebooks/"):
                return super()._split_scope(nodeid)
            alone = nodeid.startswith(tuple(f"notebooks/{name}" for name in ALONE))
            return "notebooks that need no run" if alone else "notebooks"

    return NotebooksTogether(config, log)


FEW = """\
extends: micro.yaml
held_out_images: 100
probe_images: 120
generated_images: 24
segmentation_steps: 5
08_generation: {stage: {images: 64, steps: 32, batch_size: 8, checkpoint_every: 16}}
"""


class NotebooksOnMicro:
    """The cells of the notebooks (nbval) run on a preset file where they say smoke: the same code
    on networks and numbers that take seconds. A kernel takes its environment when the first cell
    of its notebook is set up.
    """

    @cached_property
    def folder(self) -> TemporaryDirectory[str]:
        from tests.integration.micro import write_foundations

        folder = TemporaryDirectory(prefix="muse-micro-")
        write_foundations(Path(folder.name))
        Path(folder.name, "notebooks.yaml").write_text(FEW)
        workspace, checkout = Path(folder.name, "workspace"), Path(__file__).resolve().parents[1]
        (workspace / "data").mkdir(parents=True)
        for name in ("notebooks", "studies", "data/foundations"):
            (workspace / name).symlink_to(checkout / name)
        return folder

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        if not item.nodeid.startswith("notebooks/"):
            return (yield)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MUSE_SMOKE_PRESET", str(Path(self.folder.name, "notebooks.yaml")))
            patch.setenv("MUSE_ROOT", str(Path(self.folder.name, "workspace")))
            return (yield)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """What JupyterLab saved into a notebook is no reference for its cells (nbval)."""
    for item in items:
        if hasattr(item, "cell"):
            item.cell.outputs = []


def pytest_configure(config: pytest.Config) -> None:
    """Registered, not defined here: hooks of this file are not called for the notebooks' cells."""
    config.pluginmanager.register(NotebooksOnMicro())
