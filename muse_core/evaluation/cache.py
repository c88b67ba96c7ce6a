"""Measurements that need not be made twice: tensors and a JSON note in one safetensors file, found
by a hash of their inputs.

The hash covers the weights, the data, the protocol and the sources that measure, so a change of any
of them measures anew, and a change of a figure or a notebook does not."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.results.tensor_files import Stored, read_stored, write_stored
from muse_core.results.trained_code import code_digests

MEASURING = ("baselines", "data", "foundations", "models", "losses", "evaluation")


@lru_cache
def code_fingerprint() -> str:
    """A hash of the packages that a measurement depends on."""
    return blake2b(json.dumps(code_digests(MEASURING)).encode(), digest_size=8).hexdigest()


class Cache:
    """A folder of remembered measurements; ``folder`` None remembers nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.used: set[Path] = set()

    @classmethod
    def of_run(cls, run: str, data: str) -> "Cache":
        """Where a run remembers what was measured on this data."""
        return cls(paths.run_folder(run) / "evaluation" / re.sub(r"[^A-Za-z0-9]+", "_", data))

    def recall(self, kind: str, inputs: dict[str, Any], make: Callable[[], Stored]) -> Stored:
        """What ``make`` returned for these inputs, from disk if it is there; a damaged file is made
        again.
        """
        if self.folder is None:
            return make()
        key = blake2b(
            json.dumps([code_fingerprint(), kind, inputs], sort_keys=True).encode(), digest_size=10
        )
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
