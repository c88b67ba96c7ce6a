"""Measurements that need not be made twice: tensors and a JSON note in one safetensors file, found by a hash of their inputs.

The hash covers the weights, the data, the protocol and the sources that measure, so a change of any of them measures anew,
and a change of a figure or a notebook does not.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import muse_core
from muse_core.errors import MuseError

MEASURING = ("data", "foundations", "models", "losses", "evaluation")
Stored = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what else is to be remembered (JSON)."""


@lru_cache
def code_fingerprint() -> str:
    """A hash of the packages that a measurement depends on."""
    root, digest = Path(muse_core.__file__).parent, blake2b(digest_size=8)
    for folder in MEASURING:
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


class Cache:
    """A folder of remembered measurements; ``folder`` None remembers nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.used: set[Path] = set()

    def recall(self, kind: str, inputs: dict[str, Any], make: Callable[[], Stored]) -> Stored:
        """What ``make`` returned for these inputs, from disk if it is there; a damaged file is made again."""
        if self.folder is None:
            return make()
        key = blake2b(json.dumps([code_fingerprint(), kind, inputs], sort_keys=True).encode(), digest_size=10)
        file = self.folder / f"{kind}-{key.hexdigest()}.safetensors"
        self.used.add(file)
        found = read_stored(file)
        if found is None:
            found = make()
            write_stored(file, found)
        return found

    def prune(self) -> None:
        """Delete what was not used since this cache was opened: older weights, older code."""
        for file in self.folder.glob("*.safetensors") if self.folder else ():
            if file not in self.used:
                file.unlink(missing_ok=True)


def read_stored(file: Path) -> Stored | None:
    """What `write_stored` wrote; None where there is no file or a damaged one."""
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
            return tensors, json.loads((opened.metadata() or {})["note"])
    except (SafetensorError, OSError, KeyError, ValueError):
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
        raise MuseError(f"Cannot write {file} ({error}): free some space or mend its permissions.") from error
