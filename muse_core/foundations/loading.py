"""Loading pretrained folders safely: a path must exist, and a checkpoint must fill every weight."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn
from transformers.utils import logging

from muse_core.errors import MuseError


def require_folder_or_hub(what: str, location: str | Path) -> str:
    """The location as a string. Raises MuseError for a path-like location that is no folder."""
    looks_like_path = isinstance(location, Path) or str(location).startswith(("/", ".", "~"))
    if looks_like_path and not Path(location).expanduser().is_dir():
        raise MuseError(f"The {what} folder {location} does not exist: give a folder with config.json and weights.")
    return str(Path(location).expanduser()) if looks_like_path else str(location)


def assert_complete(what: str, location: str, info: Mapping[str, Any]) -> None:
    """transformers and diffusers fill missing weights at random and only log it; here that is an error.

    ``info``: their loading info, with ``ignore_mismatched_sizes`` so that a wrong shape is in it too.
    """
    missing, wrong = sorted(info["missing_keys"]), sorted(info.get("mismatched_keys") or [])
    if wrong:
        name, found, expected = wrong[0]
        raise MuseError(
            f"The {what} checkpoint {location} holds {name} of shape {tuple(found)}, and its config.json asks for "
            f"{tuple(expected)}: take both from the same model."
        )
    if missing:
        raise MuseError(
            f"The {what} checkpoint {location} lacks {len(missing)} weights (first: {missing[0]}): "
            "it is another layout or another model."
        )


def fill(what: str, location: str, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load exactly these weights, in the network's own precision. Raises MuseError for one missing, too many or misshapen."""
    own = network.state_dict()
    wrong = [
        (name, tuple(weights[name].shape), tuple(value.shape))
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    assert_complete(what, location, {"missing_keys": own.keys() - weights.keys(), "mismatched_keys": wrong})
    if surplus := sorted(weights.keys() - own.keys()):
        raise MuseError(
            f"The {what} checkpoint {location} holds {len(surplus)} weights that its config.json has no place for (first: "
            f"{surplus[0]}): take both from the same model."
        )
    network.load_state_dict(weights)


@contextmanager
def reading(what: str, location: str) -> Iterator[None]:
    """Turns a damaged file into one sentence; transformers' own report, a table of what a whole CLIP has besides, is left out."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MuseError(f"The {what} {location} cannot be read ({reason}): copy or download it again.") from error
    finally:
        logging.set_verbosity(verbosity)
