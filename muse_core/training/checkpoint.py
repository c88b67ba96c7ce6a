"""Checkpoints: the whole state of a stage in safetensors and JSON, written beside and then renamed,
so never half there.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from muse_core.errors import MuseError
from muse_core.paths import TOKENIZER_FOLDER
from muse_core.results.records import read_json, write_json
from muse_core.training.fsdp import part_of
from muse_core.training.saving import remove, written_whole

STATE_FILE = "state.json"
TENSORS_FILE = "training.safetensors"
KEPT = 2
"""Checkpoints kept per stage where nothing else is said: the last one, and the one before in case
the last is damaged.
"""

STEP = "step"
"""AdamW's name for its count of steps."""


@dataclass
class TrainingState:
    """What a stage needs, beside the network's weights, to go on as if never interrupted.

    ``tensors``: EMA, optimisers, discriminator and RNG by name. ``facts``: step, configuration,
    data fingerprint, ..."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def optimiser_tensors(
    optimiser: torch.optim.Optimizer, names: dict[int, str], prefix: str
) -> dict[str, Tensor]:
    """Moments and step counts, not copied, as ``prefix/weight/moment``; ``names``: id of parameter
    -> name.
    """
    return {
        f"{prefix}/{names[id(weight)]}/{key}": value.detach()
        for weight, state in optimiser.state.items()
        for key, value in state.items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, names: dict[int, str], prefix: str, tensors: dict[str, Tensor]
) -> None:
    """The inverse of `optimiser_tensors`."""
    for group in optimiser.param_groups:
        for weight in group["params"]:
            if saved := under(f"{prefix}/{names[id(weight)]}/", tensors):
                state = {
                    name: part_of(value, weight) for name, value in saved.items() if name != STEP
                }
                # Where all of AdamW runs on the device, it counts its steps there.
                counts = weight.device if group.get("fused") else torch.device("cpu")
                optimiser.state[weight] = state | {STEP: saved[STEP].clone().to(counts)}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def names_of(module: nn.Module) -> dict[int, str]:
    """id(parameter) -> name."""
    return {id(weight): name for name, weight in module.named_parameters()}


def save_checkpoint(
    folder: Path,
    step: int,
    network: Any,
    state: TrainingState,
    saved_as: str = TOKENIZER_FOLDER,
    kept: int = KEPT,
) -> Path:
    """Write ``folder/step-XXXXXXXX`` whole and to the disk, then drop all but the last ``kept``.

    ``network`` has diffusers' `save_pretrained`. Raises MuseError when the disk refuses.
    """
    final = folder / f"step-{step:08d}"
    besides = "; earlier checkpoints are untouched"
    with written_whole(final, "the checkpoint ", besides) as temporary:
        temporary.mkdir(parents=True)
        network.save_pretrained(temporary / saved_as)
        tensors = {name: tensor.contiguous() for name, tensor in state.tensors.items()}
        save_file(tensors, temporary / TENSORS_FILE)
        facts = state.facts | {"step": step, "sha256": _digests(temporary)}
        write_json(temporary / STATE_FILE, facts)
    for old in complete_checkpoints(folder)[:-kept]:
        remove(old)
    return final


def complete_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that were written to the end, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE_FILE).exists())


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest intact checkpoint, or None where there is none at all.

    Raises MuseError when checkpoints exist but none is intact.
    """
    found = sorted(folder.glob("step-*"), reverse=True)
    newest = next(filter(is_intact, found), None)
    if found and newest is None:
        raise MuseError(
            f"The checkpoint {found[0]} is half-written or damaged and no older one is left: "
            "run again without resume to start this stage over."
        )
    return newest


def is_intact(checkpoint: Path) -> bool:
    """Whether every file has the digest noted when it was written."""
    try:
        expected = read_json(checkpoint / STATE_FILE)["sha256"]
        return expected == _digests(checkpoint)
    except (MuseError, KeyError, TypeError, OSError):
        return False


def load_state(checkpoint: Path) -> TrainingState:
    """Everything but the network, which `from_pretrained` of its own folder in the checkpoint
    loads.
    """
    return TrainingState(load_file(checkpoint / TENSORS_FILE), read_json(checkpoint / STATE_FILE))


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != STATE_FILE)
    return {str(path.relative_to(folder)): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
