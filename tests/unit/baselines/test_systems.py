"""Systems by name, and names of none."""

from pathlib import Path

import pytest

from muse_core.baselines.systems import SYSTEMS, system_named
from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.config.system_stages import RECIPES
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
