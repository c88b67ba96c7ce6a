"""Folders that are whole or absent: written beside their place, then renamed."""

import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from muse_core.errors import MuseError


def save_whole(network: Any, folder: Path) -> None:
    """Save beside and rename, so that the folder never holds half a network; ``network`` has `save_pretrained`.

    Raises MuseError when the disk refuses.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        network.save_pretrained(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise MuseError(f"Cannot write {folder} ({error}): free some space and run again with resume.") from error
