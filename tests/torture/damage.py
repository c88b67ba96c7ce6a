"""Ways in which a folder comes to harm, by the verbs of the table: files cut short, emptied, edited
by hand, saved by another program.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.torture.contents import content_of

Weights = dict[str, Tensor]


def weights_of(folder: Path) -> Path:
    """The one safetensors file of a folder."""
    return next(folder.glob("*.safetensors"))


def _place(folder: Path, name: str) -> Path:
    return weights_of(folder) if name == "$WEIGHTS" else folder / name


def cut(folder: Path, name: str, share: float = 0.5) -> None:
    """Keep the beginning of a file."""
    file = _place(folder, name)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def write(folder: Path, name: str, content: str) -> None:
    """Put this in the file's place."""
    _place(folder, name).write_bytes(content_of(content))


def remove(folder: Path, name: str) -> None:
    """Delete one file."""
    _place(folder, name).unlink()


def empty(folder: Path) -> None:
    """Delete all that is in it."""
    vanish(folder)
    folder.mkdir()


def vanish(folder: Path) -> None:
    """Delete the folder."""
    shutil.rmtree(folder)


def be_a_file(folder: Path) -> None:
    """Put a file in the folder's place."""
    vanish(folder)
    folder.write_text("weights")


def edit(folder: Path, name: str, changes: dict[str, Any]) -> None:
    """Change entries of a JSON file; None deletes one."""
    file = folder / name
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: each for key, each in content.items() if each is not None}))


def _widen(weights: Weights, name: str) -> None:
    weights[name] = torch.cat([weights[name], weights[name]])


def _not_a_number(weights: Weights, name: str) -> None:
    weights[name] = torch.full_like(weights[name], torch.nan)


CHANGES: dict[str, Callable[[Weights, str], Any]] = {
    "lose": lambda weights, name: weights.pop(name),
    "widen": _widen,
    "nan": _not_a_number,
}


def change_weights(folder: Path, how: str) -> None:
    """Change the first tensor of the folder's one safetensors file."""
    file = weights_of(folder)
    weights = load_file(file)
    CHANGES[how](weights, min(weights))
    save_file(weights, file, metadata={"format": "pt"})


def shard(folder: Path, name: str) -> None:
    """Weights in shards, of which the index names one alone."""
    file = weights_of(folder)
    index = {"weight_map": {"a": name, "b": name}}
    file.with_name(f"{file.name}.index.json").write_text(json.dumps(index))
    file.unlink()


class Bomb:
    """Its pickle, once loaded, writes a file: whoever finds it there has run a stranger's code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.mark), "w")


def pickle(folder: Path, name: str) -> None:
    """The weights as a pickle that writes a file into the workspace when it is loaded."""
    if (folder / "diffusion_pytorch_model.safetensors").exists():
        name = name.replace("pytorch_model.bin", "diffusion_pytorch_model.bin").replace(
            "diffusion_diffusion_", "diffusion_"
        )
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.save({"weight": Bomb(folder.parents[2] / "executed")}, folder / name)


VERBS: dict[str, Callable[..., None]] = {
    "cut": cut,
    "write": write,
    "remove": remove,
    "empty": empty,
    "vanish": vanish,
    "file": be_a_file,
    "edit": edit,
    "weights": change_weights,
    "shard": shard,
    "pickle": pickle,
}
