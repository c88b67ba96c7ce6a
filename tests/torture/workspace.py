"""A workspace with a run that was really trained, in which bad inputs are tried; nothing in it may
change.
"""

import contextlib
import hashlib
import io
import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import nbformat

from muse_core import paths
from muse_core.training.stage_run import StageRun

CHECKOUT = Path(__file__).resolve().parents[2]
KEPT, STAGE = "kept", "01_topology_warmup"
"""The planted run, and its one finished stage."""
DESKS = "desks"


@dataclass(frozen=True)
class Desk:
    """What a row works with: the planted ``workspace``, and a ``folder`` of its own for the files
    it brings.
    """

    workspace: "Workspace"
    folder: Path

    def copied(self, source: Path, name: str) -> Path:
        """A folder to damage."""
        return shutil.copytree(source, self.folder / name, dirs_exist_ok=True)


@dataclass
class Workspace:
    """``root`` is what ``MUSE_ROOT`` points at; ``desks`` below it belong to single rows and may
    change.
    """

    root: Path
    known: dict[tuple[str, int, int, int], str] = field(default_factory=dict)

    def desk(self, name: str) -> Desk:
        """A folder that did not exist before."""
        words = re.sub(r"[^a-z0-9]+", "-", name.lower())[:60]
        (self.root / DESKS).mkdir(exist_ok=True)
        return Desk(self, Path(mkdtemp(prefix=f"{words}-", dir=self.root / DESKS)))

    def digests(self) -> dict[str, str]:
        """Every file and folder outside the desks -> a hash of its content; a file whose stat did
        not move is not read again.
        """
        found: dict[str, str] = {}
        for folder, folders, files in os.walk(self.root.parent):
            folders[:] = [name for name in folders if name != DESKS]
            for path in (Path(folder, name) for name in (*folders, *files)):
                found[str(path.relative_to(self.root.parent))] = self._digest(path)
        return found

    def _digest(self, path: Path) -> str:
        if path.is_symlink() or not path.is_file():
            return os.readlink(path) if path.is_symlink() else "folder"
        stat = path.stat()
        key = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if key not in self.known:
            self.known[key] = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
        return self.known[key]

    @property
    def tokenizer(self) -> Path:
        """The finished tokenizer of the planted run."""
        return self.root / "data" / "runs" / KEPT / STAGE / "tokenizer"

    @cached_property
    def pipeline_folder(self) -> Path:
        """A saved pipeline on the planted tokenizer, made when first asked for."""
        folder = self.root / DESKS / "pipeline"
        self.pipeline.save_pretrained(folder)
        return folder

    @cached_property
    def pipeline(self) -> Any:
        from tests.torture.small_pipeline import small_pipeline

        return small_pipeline(self.tokenizer)


def planted_stage(run: str = KEPT, **options: Any) -> StageRun:
    """Two steps of four images."""
    return StageRun(
        run=run,
        preset="smoke",
        stage=STAGE,
        overrides="stage.steps=2 stage.batch_size=4",
        device="cpu",
        **options,
    )


@contextlib.contextmanager
def planted_workspace(folder: Path) -> Iterator[Workspace]:
    """Train two steps of stage 1 in ``folder``/workspace, and work there as long as the block
    lasts, without a network.
    """
    from huggingface_hub import constants

    root = folder / "workspace"
    (root / "data").mkdir(parents=True)
    for name in ("notebooks", "studies", "data/foundations"):
        (root / name).symlink_to(CHECKOUT / name)
    (folder / "elsewhere.txt").write_text("Nothing here belongs to a run.\n")
    given, offline = (
        {name: os.environ.get(name) for name in ("MUSE_ROOT", "TORCH_HOME", "MUSE_NEEDS")},
        constants.HF_HUB_OFFLINE,
    )
    os.environ |= {"MUSE_ROOT": str(root), "TORCH_HOME": str(folder / "no-torch-home")}
    os.environ["MUSE_NEEDS"] = "refuse"
    constants.HF_HUB_OFFLINE = True
    try:
        _plant(root)
        yield Workspace(root)
    finally:
        constants.HF_HUB_OFFLINE = offline
        for name, value in given.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _plant(root: Path) -> None:
    """A finished stage with its checkpoint and record, and the page of a notebook that was
    executed.
    """
    from muse_core.report import html
    from muse_core.report.stamps import Stamp, write_stamp
    from muse_core.training.stage_run import train_stage

    with quiet():
        train_stage(planted_stage())
    report = paths.report_folder(KEPT) / f"{STAGE}.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# 01 · Topology warm-up\n\nA page.")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), report)
    write_stamp(
        report, Stamp("key", "done", KEPT, "abc", "smoke", "cpu", "2026-01-01T10:00:00+00:00", 9.0)
    )
    html.export(report)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No output but the sentence: libraries' logs, warnings and prints are kept away from the
    answer.
    """
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
