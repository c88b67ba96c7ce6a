"""Tensors and a JSON note in one safetensors file, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from muse_core.results.records import whole_file

Stored = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what else is to be remembered (JSON)."""


def read_stored(file: Path) -> Stored | None:
    """What `write_stored` wrote; None where there is no file or a damaged one."""
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            names: list[str] = list(opened.keys())
            tensors = {name: opened.get_tensor(name) for name in names}
            note = json.loads((opened.metadata() or {})["note"])
            return (tensors, note) if isinstance(note, dict) else None
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError):
        return None


def write_stored(file: Path, stored: Stored) -> None:
    """Write whole or not at all. Raises MuseError when the disk refuses."""
    tensors, note = stored
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(file) as temporary:
        save_file(plain, temporary, metadata={"note": json.dumps(note)})
