"""The small loop that all stand-ins share: AdamW, warm-up and cosine, one loss function."""

import sys
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import get_cosine_schedule_with_warmup

from muse_core.data.batch import Batch, Source
from muse_core.data.loader import training_batches
from muse_core.errors import MuseError


def fit(
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[[Batch], Tensor],
    source: Source,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    name: str,
) -> list[float]:
    """Minimise a loss with AdamW.

    Args:
        parameters: What is trained.
        loss_of: A batch -> a scalar.
        source: What batches are drawn from.
        steps: How many.
        batch_size: Samples a step.
        learning_rate: At its peak, after the first twentieth of the steps.
        seed: Of the data's order.
        name: What trains, for the bar and for errors.

    Returns:
        The loss of every step.

    Raises:
        MuseError: A loss is not finite.
    """
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(
        parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = get_cosine_schedule_with_warmup(
        optimiser, num_warmup_steps=max(1, steps // 20), num_training_steps=steps
    )
    losses = []
    batches = training_batches(source, batch_size, seed, 0, steps)
    for step, batch in enumerate(
        tqdm(batches, desc=name, file=sys.stdout, mininterval=10, total=steps)
    ):
        loss = loss_of(batch)
        if not torch.isfinite(loss):
            raise MuseError(
                f"Training the {name} diverged at step {step}: lower its learning rate."
            )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return losses
