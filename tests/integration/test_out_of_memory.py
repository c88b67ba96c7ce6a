"""A GPU that is too small is one sentence with the batch that may fit."""

from pathlib import Path

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.training.stage_run import train_stage
from muse_core.training.tokenizer_task import TokenizerTask

from .micro import STAGES, micro_run


@pytest.mark.parametrize(
    ("batch_size", "words"),
    [
        (
            4,
            r"ran out of GPU memory at step 3 with 4 images a step; about 2 may fit: run again "
            r"with `-p batch_size 2`; "
            r"step-00000002 is kept, and goes on only with its own batch size\.",
        ),
        (
            1,
            r"with 1 images a step; not even one image fits: use a larger GPU, or another preset; "
            r"step-00000002 is kept",
        ),
    ],
)
def test_a_step_that_does_not_fit_is_a_sentence(
    micro: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int, words: str
) -> None:
    plain = TokenizerTask.update

    def full(trainer: TokenizerTask, batch, step: int) -> dict[str, float]:
        if step == 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(trainer, batch, step)

    monkeypatch.setattr(TokenizerTask, "update", full)
    run = micro_run(STAGES[0], f"full-{batch_size}", batch_size=batch_size)
    with pytest.raises(MuseError, match=words):
        train_stage(run)
    assert len(run.files.metrics_file.read_text().splitlines()) == 2
