"""Loading pretrained folders safely: a path must exist, and a checkpoint must fill every weight."""

from pathlib import Path
from typing import Any

from muse_core.errors import MuseError


def require_folder_or_hub(what: str, location: str | Path) -> str:
    """The location as a string. Raises MuseError for a path-like location that is no folder."""
    looks_like_path = isinstance(location, Path) or str(location).startswith(("/", ".", "~"))
    if looks_like_path and not Path(location).expanduser().is_dir():
        raise MuseError(f"The {what} folder {location} does not exist: give a folder with config.json and weights.")
    return str(Path(location).expanduser()) if looks_like_path else str(location)


def assert_complete(what: str, location: str, info: dict[str, Any]) -> None:
    """transformers fills missing weights at random and only logs it; here that is an error."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise MuseError(
            f"The {what} checkpoint {location} lacks {len(missing)} weights (first: {missing[0]}): "
            "it is another layout or another model."
        )
