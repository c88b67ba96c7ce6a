"""Systems by name, and names of none."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.vae import DecoderOutput

from muse_core.baselines.rae import Rae
from muse_core.baselines.systems import RECIPES, SYSTEMS, check_system, system_named
from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.errors import MuseError

from . import own_system
from .own_system import NAME, OwnSystem


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_name_is_its_class(name) -> None:
    assert system_named(name) is SYSTEMS[name]
    assert issubclass(SYSTEMS[name], VisualTokenizer)


def test_each_has_a_recipe_words_of_its_own_and_says_how_it_departs() -> None:
    assert SYSTEMS.keys() == RECIPES.keys()
    assert len({kind.words for kind in SYSTEMS.values()}) == len(SYSTEMS)
    for kind in SYSTEMS.values():
        assert kind.departures and all(said.endswith(".") for said in kind.departures)


def test_a_users_own_is_found_by_module_or_file_and_class() -> None:
    assert system_named(NAME) is OwnSystem
    file = Path(own_system.__file__)
    found = system_named(f"{file}:OwnSystem")
    assert found.words == OwnSystem.words and found.__module__ == f"own_{file.stem}"
    assert system_named(f"{file}:OwnSystem") is found, "read once a process"


def test_a_file_that_failed_is_read_anew_when_it_is_mended(tmp_path) -> None:
    file = tmp_path / "mended_system.py"
    with pytest.raises(MuseError, match=r"mended_system.py:Mine cannot be imported \(FileNotFound"):
        system_named(f"{file}:Mine")
    whole = f"from {OwnSystem.__module__} import OwnSystem\n\n\nclass Mine(OwnSystem):\n    pass\n"
    file.write_text(whole + "\n\nraise RuntimeError('the last line')\n")
    for _ in range(2):
        with pytest.raises(MuseError, match=r"cannot be imported \(RuntimeError: the last line\)"):
            system_named(f"{file}:Mine")
    file.write_text(whole)
    assert issubclass(system_named(f"{file}:Mine"), OwnSystem)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("va_vae", r"Unknown system 'va_vae': choose one of va-vae, .*, or your own as FILE.py:C"),
        ("no_such_module:Class", r"no_such_module:Class cannot be imported \(.*\): write FILE.py:"),
        (f"{OwnSystem.__module__}:Missing", r"cannot be imported \(.*Missing.*\): write FILE.py:"),
        ("torch.nn:Linear", r"torch.nn:Linear is no VisualTokenizer: derive your class from it"),
        ("math:pi", r"math:pi is no VisualTokenizer: derive your class from it"),
    ],
)
def test_a_name_of_none_is_a_sentence(name, said) -> None:
    with pytest.raises(MuseError, match=said):
        system_named(name)


@pytest.mark.parametrize("name", [":Class", "module:", ":", "a b:C", ".here:C"])
def test_half_a_name_is_a_sentence_too(name) -> None:
    with pytest.raises(MuseError, match=r"write FILE\.py:Class"):
        system_named(name)


def changed(world, **fields):
    """A system of the user's that does one thing wrong."""
    network = world.new("rae")
    kind = type("Wrong", (type(network),), fields)
    wrong = kind(**{name: each for name, each in network.config.items() if name[0] != "_"})
    return wrong.eval()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"probed": "meaning"}, "is to be read by 'meaning' and 'patch tokens'"),
        ({"codebooks": (2, 8)}, "gives either codes or codebooks"),
        ({"encode": lambda self, images: no_grid(self, images)}, "gives no grid of 'patch tokens'"),
        ({"decode": lambda self, latent, size=None: small()}, "pixels back as"),
    ],
)
def test_a_wrong_class_is_told_before_it_is_trained(world, fields: dict, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        check_system(changed(world, **fields))


def no_grid(network, images):
    return replace(Rae.encode(network, images), grid={})


def small():
    return DecoderOutput(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("system", SYSTEMS)
def test_ours_pass_and_keep_their_mode(world, system: str) -> None:
    network = world.new(system)
    for mode in (True, False):
        check_system(network.train(mode))
        assert network.training == mode


def test_a_class_that_says_too_little_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    start = "from muse_core.baselines.visual_tokenizer import VisualTokenizer\n"
    file.write_text(f"{start}class Half(VisualTokenizer):\n    words = 'half'\n")
    with pytest.raises(MuseError, match="Half does not say probed"):
        system_named(f"{file}:Half")
    other = tmp_path / "other.py"
    other.write_text(f"{start}class Half(VisualTokenizer):\n    words = probed = segmented = 'a'\n")
    with pytest.raises(MuseError, match="Half lacks assembled, decode, encode"):
        system_named(f"{other}:Half")
