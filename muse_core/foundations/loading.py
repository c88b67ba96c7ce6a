"""Loading pretrained folders safely: safetensors alone, and a checkpoint must fill every weight
with numbers.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging

from muse_core.errors import MuseError, shown
from muse_core.paths import user_path

COPY = "copy or download it again"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
"""Files of weights that can run code when they are read."""


def require_folder_or_hub(what: str, location: str | Path) -> str:
    """The location as a string, a folder's made absolute. Raises MuseError for a path that is no
    folder; a hub id has one slash at most.
    """
    text = str(location)
    folder = user_path(text)
    known = isinstance(location, Path) or text.startswith((".", "~")) or folder.is_dir()
    looks_like_path = known or text.count("/") > 1 or text.startswith("/")
    if looks_like_path and not folder.is_dir():
        raise MuseError(
            f"The {what} folder {location} does not exist: give a folder with config.json and "
            "weights, or a hub id (OWNER/NAME)."
        )
    return str(folder if looks_like_path else location)


def read_object(what: str, file: Path, remedy: str = COPY) -> dict[str, Any]:
    """The JSON object in a file beside weights. Raises MuseError where it cannot be read."""
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise TypeError("no JSON object")
        return found
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise MuseError(
            f"The {what} {file.parent} cannot be read ({file.name}: {type(error).__name__}): "
            f"{remedy}."
        ) from error


def load_complete(
    load: Callable[..., Any], what: str, location: str, remedy: str = COPY, **options: Any
) -> tuple[Any, Mapping[str, Any]]:
    """A network by its ``from_pretrained``, from safetensors alone, and its loading info.

    Raises MuseError for a damaged file, and weights that are missing, misshapen or not finite.
    """
    safe = {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    with reading(what, location, remedy):
        network, info = load(location, **options | safe)
    assert_complete(what, location, info)
    assert_finite(what, location, network)
    return network, info


def load_whole(load: Any, what: str, location: str, remedy: str = COPY, **options: Any) -> Any:
    """A diffusers model by the ``from_pretrained`` of its class, from a folder or hub id.

    Raises MuseError as `load_complete`, and for another class or weights that are too many."""
    folder = Path(location)
    if folder.is_dir():
        require_class(what, folder, load.__self__.__name__, remedy)
        refuse_pickles(what, folder)
    network, info = load_complete(load, what, location, remedy, **options)
    refuse_surplus(what, location, info.get("unexpected_keys") or ())
    return network


def fill(what: str, location: str, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load exactly these weights, in the network's own precision. Raises MuseError for one missing,
    too many or misshapen.
    """
    own = network.state_dict()
    wrong = [
        (name, weights[name].shape, value.shape)
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    assert_complete(
        what, location, {"missing_keys": own.keys() - weights.keys(), "mismatched_keys": wrong}
    )
    refuse_surplus(what, location, weights.keys() - own.keys())
    network.load_state_dict(weights)
    assert_finite(what, location, network)


def assert_complete(what: str, location: str, info: Mapping[str, Any]) -> None:
    """transformers and diffusers fill missing weights at random and only log it; here that is an
    error.

    ``info``: their loading info, with ``ignore_mismatched_sizes`` so that a wrong shape is in it
    too."""
    missing, wrong = sorted(info["missing_keys"]), sorted(info.get("mismatched_keys") or [])
    if wrong:
        name, found, expected = wrong[0]
        raise MuseError(
            f"The {what} checkpoint {location} holds {name} of shape {tuple(found)}, and its "
            f"config.json asks for {tuple(expected)}: take both from the same model."
        )
    if missing:
        raise MuseError(
            f"The {what} checkpoint {location} lacks {len(missing)} weights (first: {missing[0]}): "
            "it is another layout or another model."
        )


def refuse_surplus(what: str, location: str, names: Iterable[str]) -> None:
    """Raises MuseError where a checkpoint holds weights that the network does not have."""
    if surplus := sorted(names):
        raise MuseError(
            f"The {what} checkpoint {location} holds {len(surplus)} weights that its config.json "
            f"has no place for (first: {surplus[0]}): take both from the same model."
        )


def assert_finite(what: str, location: str, network: nn.Module) -> None:
    """Raises MuseError where a weight holds what is no number, or an infinite one: all that it
    touches would too.
    """
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise MuseError(
                f"The {what} checkpoint {location} holds weights that are not finite "
                f"(first: {name}): use another copy, or train it again."
            )


def refuse_pickles(what: str, folder: Path) -> None:
    """Raises MuseError where a folder's weights are in a pickle alone."""
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickles and not any(folder.glob("*.safetensors")):
        raise MuseError(
            f"The {what} {folder} holds its weights in {pickles[0]}, a pickle, which can run code "
            "when it is read: convert them to safetensors, or take a copy that has them."
        )


def require_class(what: str, folder: Path, kind: str, remedy: str = COPY) -> None:
    """Raises MuseError unless the folder's config.json is that of a ``kind``, as diffusers writes
    it.
    """
    found = read_object(what, folder / "config.json", remedy).get("_class_name")
    if found != kind:
        raise MuseError(f"The {what} {folder} holds {shown(found)}, not a {kind}: {remedy}.")


@contextmanager
def reading(what: str, location: str, remedy: str = COPY) -> Iterator[None]:
    """Turns a damaged file into one sentence; transformers' own report, a table of what a whole
    CLIP has besides, is left out.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except (MuseError, torch.OutOfMemoryError):
        raise
    # For a damaged file libraries raise nearly anything.
    except Exception as error:
        said = str(error).replace(f"{location}/", "").strip().splitlines()
        reason = (said or [type(error).__name__])[0][:200]
        raise MuseError(f"The {what} {location} cannot be read ({reason}): {remedy}.") from error
    finally:
        logging.set_verbosity(verbosity)
