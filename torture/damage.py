"""Ways in which files come to harm: cut short, emptied, edited by hand, saved by another program."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Weights = dict[str, Tensor]


def weights_of(folder: Path) -> Path:
    """The one safetensors file of a folder."""
    return next(folder.glob("*.safetensors"))


def cut(file: Path, share: float = 0.5) -> None:
    """Keep the beginning."""
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def edit_json(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Read, change and write again."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_weights(folder: Path, change: Callable[[Weights], Any]) -> None:
    """Change the tensors of the one safetensors file of a folder."""
    file = weights_of(folder)
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def first_name(weights: Weights) -> str:
    return min(weights)


def lose_first(weights: Weights) -> None:
    del weights[first_name(weights)]


def widen_first(weights: Weights) -> None:
    name = first_name(weights)
    weights[name] = torch.cat([weights[name], weights[name]])


def not_a_number(weights: Weights) -> None:
    name = first_name(weights)
    weights[name] = torch.full_like(weights[name], torch.nan)


class Bomb:
    """Its pickle, once loaded, writes a file: whoever finds it there has run a stranger's code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.mark), "w")


def only_pickle(folder: Path, name: str, mark: Path) -> None:
    """The weights as a pickle that writes ``mark`` when it is loaded, and no safetensors."""
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.save({"weight": Bomb(mark)}, folder / name)


def copied(source: Path, target: Path) -> Path:
    """A folder to damage."""
    return shutil.copytree(source, target, dirs_exist_ok=True)
