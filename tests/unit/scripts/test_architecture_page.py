"""docs/architecture.md is what the docstrings say, and its walks name files that exist."""

import re

from scripts import architecture


def test_the_page_is_up_to_date() -> None:
    told = "run python -m scripts.architecture"
    assert architecture.PAGE.read_text() == architecture.page(), told


def test_its_links_lead_to_files() -> None:
    links = re.findall(r"\]\(\.\./([^)#]+)\)", architecture.page())
    assert links and all((architecture.ROOT / link).exists() for link in links)


def test_every_folder_of_the_package_is_on_it() -> None:
    folders = {each.name for each in (architecture.ROOT / "muse_core").iterdir() if each.is_dir()}
    assert folders - {"__pycache__"} == set(architecture.LADDER)


def test_the_longest_walk_from_fit_to_a_loss_has_at_most_seven_files() -> None:
    walks = re.split(r"(?m)^\*\*", architecture.WALKS.read_text())[1:]
    assert len(walks) == 3
    assert all(len(re.findall(r"(?m)^\d\. ", walk)) <= 7 for walk in walks)
