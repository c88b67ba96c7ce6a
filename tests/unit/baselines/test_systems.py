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
from muse_core.results.trained_code import file_digest, own_digest

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
        (
            {"encode": lambda self, images: flat(self, images)},
            "latent is .2, 16, .*: give .batch, ch",
        ),
        ({"encode": lambda self, images: images}, "encode gives a Tensor, and not Encoded"),
        ({"decode": lambda self, latent, size=None: latent}, "decode gives a Tensor, and not Deco"),
        (
            {"encode": lambda self, images: long(self, images)},
            "on a grid of 3 x 3: give .batch, row",
        ),
        ({"encode": lambda self, images: nan(self, images)}, "makes NaN or infinite numbers"),
        ({"encode": lambda self, images: 1 / 0}, r"fails on two grey images .ZeroDivisionError"),
        (
            {"encode": lambda self, images: codes(self, images, 9.0), "codebooks": (1, 8)},
            "codes are torch.float32",
        ),
        ({"encode": lambda self, images: codes(self, images, 9), "codebooks": (1, 8)}, "to 9, and"),
        (
            {"encode": lambda self, images: codes(self, images, 3), "codebooks": (2, 8)},
            "2 of 8: gi",
        ),
        ({"encode": lambda self, images: drifting(self, images)}, "is another network once it was"),
        ({"save_pretrained": lambda self, folder: 1 / 0}, "cannot be saved and opened again"),
    ],
)
def test_a_wrong_class_is_told_before_it_is_trained(world, fields: dict, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        check_system(changed(world, **fields))


def flat(network, images):
    encoded = Rae.encode(network, images)
    return replace_latent(encoded, encoded.latent.flatten(2).transpose(1, 2))


def replace_latent(encoded, latent):
    # A check of types while testing would refuse the wrong latent first.
    wrong = replace(encoded)
    object.__setattr__(wrong, "latent", latent)
    return wrong


def long(network, images):
    encoded = Rae.encode(network, images)
    return replace(encoded, grid=dict.fromkeys(encoded.grid, (3, 3)))


def nan(network, images):
    encoded = Rae.encode(network, images)
    return replace(encoded, latent=encoded.latent * torch.nan)


def codes(network, images, value):
    wrong = replace(Rae.encode(network, images))
    object.__setattr__(wrong, "codes", torch.full((2, 4, 1), value))
    return wrong


def drifting(network, images):
    encoded = Rae.encode(network, images)
    drift = getattr(network, "drift", None) or id(network) % 97 / 97
    return replace(encoded, latent=encoded.latent + drift)


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


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ('built_from = "backbone"', "built_from is 'backbone': write a tuple"),
        ('supervised_by = ("teachr",)', "Unknown part in Mine.supervised_by 'teachr'"),
        ("stages = ()", "stages is empty"),
        ("stages = SystemStage()", "stages is SystemStage"),
        ("stages = (SystemStage(share=-1.0),)", "give SystemStage objects with a share above 0"),
        ('departures = "none"', "departures is 'none': write a tuple"),
    ],
)
def test_a_declaration_in_another_form_is_a_sentence(tmp_path: Path, declared, says: str) -> None:
    file = tmp_path / f"declares_{abs(hash(declared))}.py"
    lines = (
        f"from {OwnSystem.__module__} import OwnSystem",
        "from muse_core.config.system_stages import SystemStage",
        f"class Mine(OwnSystem):\n    {declared}\n",
    )
    file.write_text("\n".join(lines))
    with pytest.raises(MuseError, match=says):
        system_named(f"{file}:Mine")


def test_what_lies_beside_a_file_is_imported_and_counts(tmp_path: Path) -> None:
    beside = tmp_path / "beside_the_system.py"
    beside.write_text("FACTOR = 0.5\n")
    file = tmp_path / "has_a_neighbour.py"
    file.write_text(
        f"from {OwnSystem.__module__} import OwnSystem\nfrom beside_the_system import FACTOR\n"
        "class Mine(OwnSystem):\n    factor = FACTOR\n"
    )
    assert system_named(f"{file}:Mine").factor == 0.5
    before = own_digest(file)
    beside.write_text("FACTOR = 1.0\n")
    assert own_digest(file) != before
    beside.unlink()
    assert own_digest(file) == file_digest(file)


def test_a_line_that_is_no_python_is_named(tmp_path: Path) -> None:
    file = tmp_path / "no_python.py"
    file.write_text("x = 1\ny = (\n")
    with pytest.raises(MuseError, match=r"SyntaxError.*mend line 2 of no_python.py"):
        system_named(f"{file}:Mine")


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
