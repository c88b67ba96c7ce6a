"""A projector's training in as many processes as there are: losses and weights go to the file that
is given.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from muse_core.config.stage import LanguageStage
from muse_core.data.scenes import Scenes
from muse_core.training.launch import Launch
from muse_core.training.trainer import RunOptions, Trainer
from muse_core.unified.answer_task import AnswerTask, Listener
from muse_core.unified.projector import VisualProjector
from muse_core.unified.questions import AskedImages
from muse_core.unified.sight import InWords
from tests.unit.unified.small_language import small_language_model

STAGE = LanguageStage(
    name="10_unified", learning_rate=3e-3, steps=6, batch_size=8, images=20, checkpoint_every=3
)


def train(run: str, processes: int) -> dict[str, torch.Tensor]:
    """Loss of every step and the weights at the end."""
    torch.manual_seed(0)
    listener = Listener(small_language_model(), (4, 4))
    data = AskedImages.of(InWords(4), Scenes("train", 32), STAGE.images, 0)
    projector = VisualProjector(data.tokens.shape[-1], 32)
    options = RunOptions(run=run, device="cpu", launch=Launch(processes))
    result = Trainer(projector, STAGE, data, listener, options=options, task=AnswerTask).fit()
    losses = torch.tensor([row["loss/answer"] for row in result.rows])
    weights = {name: value.clone() for name, value in result.network.state_dict().items()}
    return weights | {"losses": losses}


if __name__ == "__main__":
    trained = train("pair", 2)
    if torch.distributed.get_rank() == 0:
        save_file(trained, Path(sys.argv[1]))
