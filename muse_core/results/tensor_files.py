"""Tensors and a JSON note in one safetensors file, written whole or not at all."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from muse_core.errors import MuseError

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
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, temporary, metadata={"note": json.dumps(note)})
        temporary.replace(file)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise MuseError(
            f"Cannot write {file} ({error}): free some space or mend its permissions."
        ) from error
