"""The systems by name."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch

from muse_core.baselines.rae import Rae
from muse_core.baselines.tokenflow import TokenFlow
from muse_core.baselines.unilip import UniLip
from muse_core.baselines.unitok import UniTok
from muse_core.baselines.va_vae import VaVae
from muse_core.baselines.visual_tokenizer import LATENT, VisualTokenizer
from muse_core.baselines.vtp import Vtp
from muse_core.config.system_stages import SYSTEM_NAMES
from muse_core.errors import MuseError, unknown
from muse_core.paths import user_path

SYSTEMS: dict[str, type[VisualTokenizer]] = dict(
    zip(SYSTEM_NAMES, (VaVae, TokenFlow, UniTok, UniLip, Vtp, Rae), strict=True)
)


RECIPES = {name: kind.stages for name, kind in SYSTEMS.items()}
"""System -> its stages."""
OWN = "own_"
"""Before the name of a user's file, as a module."""


def system_named(name: str) -> type[VisualTokenizer]:
    """A system of ours by its name, or one of the user's as ``FILE.py:Class`` or ``module:Class``.

    Raises:
        MuseError: There is none, or it is no `VisualTokenizer`.
    """
    if ":" not in name:
        if name not in SYSTEMS:
            raise unknown("system", name, [*SYSTEMS, "or your own as FILE.py:Class"])
        return SYSTEMS[name]
    module, _, called = name.rpartition(":")
    try:
        held = _of_file(user_path(module)) if module.endswith(".py") else import_module(module)
        found = getattr(held, called)
    # The user's file may raise anything.
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise MuseError(f"{name} cannot be imported ({said}): write FILE.py:Class.") from error
    if not (isinstance(found, type) and issubclass(found, VisualTokenizer)):
        raise MuseError(f"{name} is no VisualTokenizer: derive your class from it.")
    for needed in ("words", "probed", "segmented"):
        if not isinstance(getattr(found, needed, None), str):
            raise MuseError(
                f"{called} does not say {needed}: give the class a line such as "
                f'{needed} = "latent z".'
            )
    if lacking := sorted(getattr(found, "__abstractmethods__", ())):
        raise MuseError(f"{called} lacks {', '.join(lacking)}: write them.")
    return found


@torch.no_grad()
def check_system(network: VisualTokenizer) -> None:
    """Look at what a system makes of two blank images, before hours are spent on it.

    Raises:
        MuseError: A feature that is to be read is not there, has no grid, or codes and codebooks do
            not agree.
    """
    kind, side = type(network).__name__, network.config.get("image_size")
    if not isinstance(side, int):
        raise MuseError(f"{kind}'s configuration has no image_size: let its constructor take one.")
    mode = network.training
    device = next(network.parameters()).device
    encoded = network.eval()(torch.zeros(2, 3, side, side, device=device)).encoded
    network.train(mode)
    there = {LATENT, *encoded.tokens}
    if network.segmented not in there or network.probed not in there | encoded.pooled.keys():
        raise MuseError(
            f"{kind} is to be read by {network.probed!r} and {network.segmented!r}, and its "
            f"features are {', '.join(sorted(there | encoded.pooled.keys()))}: name one of them."
        )
    if lacking := sorted(encoded.tokens.keys() - encoded.grid.keys()):
        raise MuseError(
            f"{kind} gives no grid of {lacking[0]!r}: put its rows and columns into grid."
        )
    if (encoded.codes is None) != (network.codebooks is None):
        raise MuseError(
            f"{kind} gives either codes or codebooks, and a discrete system needs both: return the "
            "indices as codes, and (how many, codes of each) as codebooks."
        )


def _of_file(file: Path) -> ModuleType:
    """The file as a module, once a process; its name takes no other module's place."""
    called = f"{OWN}{file.stem}"
    held = sys.modules.get(called)
    if held is not None and getattr(held, "__file__", None) == str(file):
        return held
    spec = spec_from_file_location(called, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"there is no file {file.name}")
    module = module_from_spec(spec)
    sys.modules[called] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        # Half a module would be taken for the whole one the next time.
        del sys.modules[called]
        raise
    return module
