"""environment.yml, constraints.txt and pyproject.toml describe one environment, and none of them
names a host.
"""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(text) for text in chain(PROJECT["dependencies"], *EXTRAS.values())]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip()
]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==", f"{pin} is not a pin"
    return specifier.version


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_has_a_pin_that_satisfies_it(requirement):
    pins = [pin for pin in PINS if canonical(pin.name) == canonical(requirement.name)]
    assert pins, f"constraints.txt has no pin for {requirement.name}: compile it again"
    assert all(requirement.specifier.contains(version(pin)) for pin in pins)


def test_every_pin_is_exact():
    assert all(version(pin) for pin in PINS)


def test_conda_installs_this_project_with_these_pins():
    *plain, pip = CONDA["dependencies"]
    options = [tuple(line.split()) for line in pip["pip"]]
    assert [name.split("=")[0].rstrip(">") for name in plain] == ["python", "pip"]
    # The tools of `make docs` come when it is run.
    extras = ",".join(name for name in EXTRAS if name != "docs")
    assert options == [("--constraint", "constraints.txt"), ("-e", f".[{extras}]")]


def test_conda_s_python_is_one_the_project_supports():
    (python,) = (name for name in CONDA["dependencies"] if str(name).startswith("python"))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.split("=")[-1])


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "constraints.txt", "environment.yml", "Makefile"]
)
def test_no_address_is_written_down(name):
    text = re.sub(r"\[project\.urls\][^\[]*", "", (ROOT / name).read_text())
    assert not re.findall(r"\w+://\S+|(?:--index-url|--find-links|--extra-index-url)\S*", text)
