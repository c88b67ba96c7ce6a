"""The systems by name."""

import math
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import torch
from diffusers import ConfigMixin

from muse_core.baselines.rae import Rae
from muse_core.baselines.tokenflow import TokenFlow
from muse_core.baselines.unilip import UniLip
from muse_core.baselines.unitok import UniTok
from muse_core.baselines.va_vae import VaVae
from muse_core.baselines.visual_tokenizer import LATENT, Encoded, Pass, VisualTokenizer
from muse_core.baselines.vtp import Vtp
from muse_core.config.system_stages import SYSTEM_NAMES, SystemStage
from muse_core.errors import MuseError, shown, unknown
from muse_core.paths import user_path
from muse_core.shapes import Images, Latents

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
        raise MuseError(f"{name} cannot be imported ({said}): {_remedy(error)}.") from error
    if not (isinstance(found, type) and issubclass(found, VisualTokenizer)):
        raise MuseError(f"{name} is no VisualTokenizer: derive your class from it.")
    _check_declarations(called, found)
    return found


def _remedy(error: Exception) -> str:
    """What to do about a file of the user's that cannot be read."""
    if isinstance(error, SyntaxError):
        return f"mend line {error.lineno} of {Path(error.filename or '').name}"
    if isinstance(
        error, ModuleNotFoundError | FileNotFoundError | AttributeError | ValueError | TypeError
    ):
        return "write FILE.py:Class, with a file and a class that are there, and all it imports"
    return "mend the file"


KNOWN = {
    "built_from": ("backbone", "autoencoder"),
    "supervised_by": ("teacher", "text_tower", "backbone"),
}
"""A class's declaration of names -> those there are."""
TUPLES = (*KNOWN, "departures", "pretrained", "fixed", "training_only", "stages")


def _check_declarations(called: str, kind: type[VisualTokenizer]) -> None:
    """Raises MuseError for what a class says of itself in another form than is read."""
    for needed in ("words", "probed", "segmented"):
        if not isinstance(getattr(kind, needed, None), str):
            raise MuseError(
                f"{called} does not say {needed}: give the class a line such as "
                f'{needed} = "latent z".'
            )
    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        raise MuseError(f"{called} lacks {', '.join(lacking)}: write what is lacking.")
    if not issubclass(kind, ConfigMixin):
        raise MuseError(
            f"{called} has no configuration: derive it from diffusers' ConfigMixin too, and put "
            "@register_to_config above its constructor."
        )
    for declared in TUPLES:
        given = getattr(kind, declared)
        if not isinstance(given, tuple):
            raise MuseError(
                f"{called}.{declared} is {shown(given)}: write a tuple, ({shown(given)},)."
            )
    for declared, known in KNOWN.items():
        for name in getattr(kind, declared):
            if name not in known:
                raise unknown(f"part in {called}.{declared}", name, known)
    for stage in kind.stages:
        if not (isinstance(stage, SystemStage) and 0 < stage.share < math.inf):
            raise MuseError(
                f"{called}.stages holds {shown(stage)}: give SystemStage objects with a share "
                "above 0."
            )
    if not kind.stages:
        raise MuseError(f"{called}.stages is empty: give one SystemStage at least.")


def check_system(network: VisualTokenizer) -> None:
    """Look at what a system makes of two grey images, and save and open it, before hours are spent.

    Raises:
        MuseError: It fails, or gives something else than `Encoded` promises; a feature that is to
            be read is not there, codes and codebooks do not agree, or what is opened again is
            another network.
    """
    kind = type(network).__name__
    if not isinstance(network, VisualTokenizer):
        raise MuseError(f"assembled gives a {kind}: let it return the network that it makes.")
    side = getattr(network, "config", {}).get("image_size")
    if not isinstance(side, int):
        raise MuseError(
            f"{kind}'s configuration has no image_size: let its constructor take one, with "
            "@register_to_config above it."
        )
    first = next(network.parameters(), None)
    if first is None:
        raise MuseError(f"{kind} has no weights, and nothing can be trained: give it a layer.")
    mode, images = network.training, torch.full((2, 3, side, side), 0.5, device=first.device)
    made = _passed(network.eval(), images)
    _check_encoded(network, made)
    _check_saved(network, images, made.encoded.latent)
    network.train(mode)


@torch.no_grad()
def _passed(network: VisualTokenizer, images: Images) -> Pass:
    """One pass. Raises MuseError where the user's code raises anything."""
    kind = type(network).__name__
    try:
        encoded = network.encode(images)
        if not isinstance(encoded, Encoded):
            raise TypeError(f"encode gives a {type(encoded).__name__}, and not Encoded(latent)")
        if encoded.latent.ndim != 4:
            raise MuseError(
                f"{kind}'s latent is {tuple(encoded.latent.shape)}: give (batch, channels, rows, "
                "columns)."
            )
        decoded = network.decode(encoded.latent, (images.shape[-2], images.shape[-1]))
        if not isinstance(getattr(decoded, "sample", None), torch.Tensor):
            raise TypeError(
                f"decode gives a {type(decoded).__name__}, and not DecoderOutput(sample=images)"
            )
        return network(images)
    except MuseError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise MuseError(f"{kind} fails on two grey images ({said}): mend its class.") from error


def _check_encoded(network: VisualTokenizer, made: Pass) -> None:
    """Raises MuseError for what `Encoded` does not promise."""
    kind, encoded = type(network).__name__, made.encoded
    if not (encoded.latent.isfinite().all() and made.reconstruction.isfinite().all()):
        raise MuseError(f"{kind} makes NaN or infinite numbers of a grey image: mend its class.")
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
    for name, tokens in encoded.tokens.items():
        rows, columns = encoded.grid[name]
        if tokens.ndim != 3 or tokens.shape[1] != rows * columns:
            raise MuseError(
                f"{kind} gives {name!r} as {tuple(tokens.shape)} on a grid of {rows} x {columns}: "
                "give (batch, rows x columns, width)."
            )
    _check_codes(kind, encoded, network.codebooks)


def _check_codes(kind: str, encoded: Encoded, known: tuple[int, int] | None) -> None:
    codes = encoded.codes
    if codes is None and known is None:
        return
    if codes is None or known is None:
        raise MuseError(
            f"{kind} gives either codes or codebooks, and a discrete system needs both: return the "
            "indices as codes, and (how many, codes of each) as codebooks."
        )
    whole = not codes.is_floating_point() and codes.ndim == 3 and codes.shape[-1] == known[0]
    if not whole or not (codes.min() >= 0 and codes.max() < known[1]):
        raise MuseError(
            f"{kind}'s codes are {codes.dtype} {tuple(codes.shape)} from {codes.min().item()} to "
            f"{codes.max().item()}, and its codebooks {known[0]} of {known[1]}: give integers "
            "(batch, positions, codebooks), each below the codes of a codebook."
        )


@torch.no_grad()
def _check_saved(network: VisualTokenizer, images: Images, latent: Latents) -> None:
    """Raises MuseError where a checkpoint could not be written, or would be another network."""
    kind = type(network)
    try:
        with TemporaryDirectory() as folder:
            network.save_pretrained(folder)
            again = kind.from_pretrained(folder).to(images.device).eval().encode(images).latent
    # Configuration and weights are the user's.
    except Exception as error:
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise MuseError(
            f"{kind.__name__} cannot be saved and opened again ({said}): let its constructor take "
            "plain values alone, and let no two of its layers share a weight."
        ) from error
    if not torch.equal(again, latent):
        raise MuseError(
            f"{kind.__name__} is another network once it was saved and opened: keep all that it "
            "needs in its weights, its buffers or its constructor's values."
        )


def _of_file(file: Path) -> ModuleType:
    """The file as a module, once a process; its name takes no other module's place."""
    called = f"{OWN}{file.stem}"
    held = sys.modules.get(called)
    if held is not None and getattr(held, "__file__", None) == str(file):
        return held
    # What lies beside the file can be imported by it.
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
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
