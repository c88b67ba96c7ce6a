"""One micro workspace and one finished run of its three stages, shared by all tests of
this folder.
"""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def micro_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with random foundations."""
    from .micro import write_foundations

    root = tmp_path_factory.mktemp("workspace")
    write_foundations(root / "data" / "foundations" / "micro")
    return root


def enter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in ``root``, with no LPIPS weights in sight."""
    monkeypatch.setenv("MUSE_ROOT", str(root))
    monkeypatch.setenv("TORCH_HOME", str(root / "no-torch-home"))


@pytest.fixture(scope="session")
def whole(micro_root: Path) -> dict:
    """Stage name -> result of run "whole": the three stages in order, never interrupted."""
    from muse_core.training.stage_run import train_stage

    from .micro import STAGES, micro_run

    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(micro_root, monkeypatch)
        return {stage: train_stage(micro_run(stage)) for stage in STAGES}


@pytest.fixture
def micro(micro_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace, entered for one test."""
    enter(micro_root, monkeypatch)
    return micro_root
