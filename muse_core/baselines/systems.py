"""The systems by name."""

import importlib

from muse_core.baselines.rae import Rae
from muse_core.baselines.tokenflow import TokenFlow
from muse_core.baselines.unilip import UniLip
from muse_core.baselines.unitok import UniTok
from muse_core.baselines.va_vae import VaVae
from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.baselines.vtp import Vtp
from muse_core.errors import MuseError, unknown

SYSTEMS: dict[str, type[VisualTokenizer]] = {
    "va-vae": VaVae,
    "tokenflow": TokenFlow,
    "unitok": UniTok,
    "unilip": UniLip,
    "vtp": Vtp,
    "rae": Rae,
}


def system_named(name: str) -> type[VisualTokenizer]:
    """A system of ours by its name, or one of the user's as ``module:Class``.

    Raises:
        MuseError: There is none, or it is no `VisualTokenizer`.
    """
    if ":" not in name:
        if name not in SYSTEMS:
            raise unknown("system", name, [*SYSTEMS, "or your own as module:Class"])
        return SYSTEMS[name]
    module, _, called = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), called)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise MuseError(f"{name} cannot be imported ({error}): write module:Class.") from error
    if not (isinstance(found, type) and issubclass(found, VisualTokenizer)):
        raise MuseError(f"{name} is no VisualTokenizer: derive your class from it.")
    return found
