"""Folders that are whole or absent, whenever the machine stops: written beside their place, forced
to the disk, renamed.

A name of the form ``.NAME.tmp`` or ``.NAME.PID.tmp`` is unfinished; ``.NAME.old`` is what stood at
NAME until its successor does. `tidy` clears both away after a crash."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from muse_core.errors import MuseError


def save_whole(network: Any, folder: Path) -> None:
    """Save a network with `save_pretrained`. Raises MuseError when the disk refuses."""
    with written_whole(folder) as temporary:
        network.save_pretrained(temporary)


@contextmanager
def written_whole(folder: Path, kind: str = "", besides: str = "") -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` at the end: never half there.

    Args:
        kind: What it is, in the sentence of a disk that refuses.
        besides: The end of that sentence.

    Raises:
        MuseError: The disk refuses.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield temporary
        put_in_place(temporary, folder)
    except (OSError, SafetensorError, MuseError) as error:
        raise MuseError(
            f"Cannot write {kind}{folder} ({error}): free some space and run again with "
            f"resume{besides}."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(temporary: Path, final: Path) -> None:
    """Give a finished folder its name, when all of it is on the disk. Raises OSError."""
    force_all(temporary)
    aside = final.with_name(f".{final.name}.old")
    if final.exists():
        shutil.rmtree(aside, ignore_errors=True)
        final.rename(aside)
    temporary.rename(final)
    force(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder so that it is never there in part: its name goes first."""
    doomed = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def tidy(folder: Path) -> None:
    """Clear away what a process that died left in ``folder``; what it had set aside and not yet
    replaced comes back.

    Only for a folder that no living process writes to.
    """
    for aside in folder.glob(".*.old"):
        final = folder / aside.name[1:].removesuffix(".old")
        if not final.exists():
            aside.rename(final)
    for left in (*folder.glob(".*.old"), *folder.glob(".*.tmp")):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def force(path: Path) -> None:
    """Return when a file's bytes, or a folder's names, are on the disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def force_all(folder: Path) -> None:
    """`force` for a folder and all that is in it."""
    for path in (*folder.rglob("*"), folder):
        force(path)
