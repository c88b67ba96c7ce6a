"""The systems by name."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from muse_core.baselines.rae import Rae
from muse_core.baselines.tokenflow import TokenFlow
from muse_core.baselines.unilip import UniLip
from muse_core.baselines.unitok import UniTok
from muse_core.baselines.va_vae import VaVae
from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.baselines.vtp import Vtp
from muse_core.errors import MuseError, unknown
from muse_core.paths import user_path

SYSTEMS: dict[str, type[VisualTokenizer]] = {
    "va-vae": VaVae,
    "tokenflow": TokenFlow,
    "unitok": UniTok,
    "unilip": UniLip,
    "vtp": Vtp,
    "rae": Rae,
}


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
    return found


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
