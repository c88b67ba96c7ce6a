"""The only place that knows where data, runs and reports live; of the working directory it counts
only which workspace it is in.
"""

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from muse_core.errors import MuseError, shown

MARK = ".muse-workspace"
"""The file by which a workspace is known; `muse new` writes it."""


def checkout() -> Path:
    """The folder that holds this package; of a checkout, beside it the notebooks and scripts."""
    return Path(__file__).resolve().parents[1]


def shipped() -> Path:
    """Where notebooks, studies and the tiny foundations come from: the checkout, or a folder inside
    the installed package.
    """
    inside = Path(__file__).resolve().parent / "workspace"
    return checkout() if (checkout() / "notebooks").is_dir() else inside


def workspace() -> Path | None:
    """``MUSE_ROOT`` if set, else the folder made by ``muse new`` that we are in, else the checkout
    that holds this package; None where there is none of these.
    """
    if given := os.environ.get("MUSE_ROOT"):
        return Path(given).expanduser().resolve()
    here = _working_directory()
    for folder in (here, *here.parents) if here else ():
        if (folder / MARK).is_file():
            return folder
    return checkout() if shipped() == checkout() else None


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def root() -> Path:
    """`workspace`, where runs and reports are written.

    Raises:
        MuseError: There is none: nothing is ever written beside installed code.
    """
    found = workspace()
    if found is None:
        raise MuseError(
            "This folder is in no MUSE workspace: `muse new FOLDER` makes one; work inside it, or "
            "set MUSE_ROOT to it."
        )
    return found


def homes() -> list[Path]:
    """Where a folder of a workspace may lie: its own first, then what is shipped."""
    return list(dict.fromkeys(filter(None, (workspace(), shipped()))))


def import_from_checkout() -> None:
    """Let ``import scripts`` find the checkout, from any folder: it is no installed package.

    Raises:
        MuseError: The package is installed without its checkout.
    """
    if not (checkout() / "scripts").is_dir():
        raise MuseError(
            f"There is no folder scripts in {checkout()}: install the workspace from a checkout "
            "with pip install -e."
        )
    if str(checkout()) not in sys.path:
        sys.path.append(str(checkout()))


def _shipped(place: str) -> Path:
    """A folder of the workspace, or the one that is shipped where it has none."""
    places = [home / place for home in homes()]
    return next((each for each in places if each.exists()), places[0])


def notebooks() -> Path:
    return _shipped("notebooks")


def studies() -> Path:
    return _shipped("studies")


def foundations(name: str) -> Path:
    """Committed or local pretrained networks, e.g. ``data/foundations/tiny``."""
    return _shipped(f"data/foundations/{name}")


def shard_indexes() -> Path:
    """What is in tar shards, kept from one process to the next; may be deleted at any time."""
    return root() / "data" / "shard_indexes"


def teacher_views() -> Path:
    """What frozen teachers said of images (`muse_core.training.teacher_cache`); may be deleted at
    any time.
    """
    return root() / "data" / "teacher_views"


GALLERY, LOOK, EVALUATE = "gallery", "look", "evaluate"
TAKEN = {GALLERY: "make gallery", LOOK: "muse look", EVALUATE: "muse evaluate"}
"""Folders of ``reports`` that are no run's -> what writes them."""


def is_run_name(text: str) -> bool:
    """Whether it can be the name of a folder, and the beginning of a link, and nothing else."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text))


def check_run_name(run: str) -> str:
    """The run's name, if it can be a folder's name. Raises MuseError otherwise."""
    if not is_run_name(run):
        raise MuseError(
            f"The run name {shown(run)} is not a folder name: "
            "use letters, digits, '.', '_' and '-'."
        )
    if run in TAKEN:
        raise MuseError(
            f"The run name {run!r} is taken: reports/{run} is what `{TAKEN[run]}` writes; "
            "use another."
        )
    return run


def run_folder(run: str) -> Path:
    """Weights and checkpoints of a run: ``data/runs/<run>``."""
    return root() / "data" / "runs" / check_run_name(run)


def report_folder(run: str) -> Path:
    """Executed notebooks, pages and records of a run: ``reports/<run>``."""
    return root() / "reports" / check_run_name(run)


def records_folder(run: str) -> Path:
    return report_folder(run) / "records"


TOKENIZER_FOLDER = "tokenizer"
"""What a finished stage leaves its tokenizer in."""


MUSE_STAGES, SYSTEM_STAGES = "[0-9][0-9]_*", "system_*"


def stage_tokenizers(run: Path, stages: str = MUSE_STAGES) -> list[Path]:
    """The folders of the tokenizers that a run's stages left, in the stages' order; what was set
    aside, ``01_topology_warmup.previous``, is none.

    Args:
        run: Its folder.
        stages: What their names look like; `SYSTEM_STAGES` are those of other systems.
    """
    found = run.glob(f"{stages}/{TOKENIZER_FOLDER}/config.json")
    return sorted(each.parent for each in found if "." not in each.parents[1].name)


def tokenizer_inside(folder: Path, stages: str = MUSE_STAGES) -> Path | None:
    """The folder of the tokenizer: this one, or that of its last finished stage; ``stages`` as
    `stage_tokenizers` takes it.
    """
    places = [folder, folder / TOKENIZER_FOLDER, *stage_tokenizers(folder, stages)]
    whole = [place for place in places if (place / "config.json").is_file()]
    return whole[-1] if whole else None


def trained_runs() -> dict[str, int]:
    """The runs of this workspace that have a tokenizer, the newest first, and how many stages left
    one.
    """
    found: dict[str, list[float]] = {}
    for run in (root() / "data" / "runs").glob("*"):
        if stages := stage_tokenizers(run):
            found[run.name] = [(each / "config.json").stat().st_mtime for each in stages]
    return {name: len(found[name]) for name in sorted(found, key=lambda name: -max(found[name]))}


def writable(folder: Path) -> Path:
    """The folder, made if absent and tried with a small file. Raises MuseError when nothing can be
    written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"muse")
        probe.unlink()
    except OSError as error:
        raise MuseError(
            f"Cannot write to {folder} ({error.strerror}): free some space, mend its permissions, "
            "or set MUSE_ROOT."
        ) from error
    return folder


def user_path(text: str) -> Path:
    """A path the user gave: ``~`` expanded; a relative one means the folder where it was typed.

    Where nothing of that name is there, it is tried from the workspace, whose folders our own
    messages name (``data/runs/...``). Of a pattern, ``shards/{000..004}.tar``, the folder counts.

    Raises:
        MuseError: For what can be no path.
    """
    try:
        path = Path(text).expanduser()
        here = Path.cwd() / path
        ours = (workspace() or Path.cwd()) / path
        return (ours if _found(ours) > _found(here) else here).resolve()
    # Too long, a NUL byte, the home of nobody, or a working directory that is gone.
    except (OSError, ValueError, RuntimeError) as error:
        _no_path(text, type(error).__name__)


def new_path(text: str) -> Path:
    """Where something new is to be made: ``~`` expanded, a relative one from where it was typed.

    Raises:
        MuseError: For what can be no path.
    """
    if not text.strip():
        _no_path(text, "it is empty")
    try:
        path = Path(text).expanduser().absolute()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()
        return path
    except PermissionError as error:
        raise MuseError(
            f"{shown(text)} may not be looked at ({error.strerror}): choose another folder, or "
            "mend the permissions of those above it."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        _no_path(text, type(error).__name__)


def _no_path(text: str, why: str) -> NoReturn:
    raise MuseError(f"{shown(text)} can be no path on this machine ({why}): give a path that is.")


def _found(path: Path) -> int:
    """2 where it exists, 1 where it is a pattern in a folder that exists, 0 otherwise."""
    pattern = any(letter in path.name for letter in "{*?[")
    return 2 if path.exists() else int(pattern and path.parent.exists())


def user_paths(texts: Iterable[str]) -> list[Path]:
    """`user_path` of very many: a folder is resolved once, from where its first name is found."""
    folders: dict[str, Path] = {}
    found = []
    for text in texts:
        folder, name = os.path.split(text)
        if folder not in folders:
            folders[folder] = user_path(text).parent
        found.append(folders[folder] / name)
    return found


def absolute_spec(spec: str) -> str:
    """A data source as it was typed, ``folder:photos``, with the path it means here.

    Hub names, addresses and words that are no path stay as they are.
    """
    kind, colon, place = spec.partition(":")
    kind, place = kind.strip(), place.strip()
    if kind == "mix":
        parts = re.split(r"((?:^|,)\s*\d[\d./]*\s*\*)", place)
        return "mix:" + "".join(absolute_spec(part) for part in parts)
    if not colon or not place or "://" in place or kind not in PLACED:
        return spec
    place, *options = re.split(r"(?=\?\w+=)", place, maxsplit=1)
    path = user_path(place)
    if kind.startswith("hf") and not path.is_dir():
        return spec
    return f"{kind}:{path}{''.join(options)}"


PLACED = ("folder", "captions", "masks", "pets", "wds", "hf", "hf-stream")
"""Kinds of data sources with a path after the colon."""
