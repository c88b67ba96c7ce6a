"""The site of `make docs`: links that hold in the repository and in the site, and nothing loaded
from elsewhere.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from muse_core.report.html import external_requests
from scripts import docs_site

ROOT = Path(__file__).resolve().parents[3]
PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="docs/walks.md"))


def shown(markdown: str) -> str:
    return docs_site.on_page_markdown(markdown, PAGE, None, None)


@pytest.mark.parametrize(
    ("link", "led"),
    [
        ("../muse_core/models/tokenizer.py", "../muse_core/models/tokenizer.md"),
        ("../muse_core/losses/", "../muse_core/losses/index.md"),
        ("../reports/gallery/", "../reports/gallery/index.html"),
        ("data.md", "data.md"),
        ("explorer.png", "explorer.png"),
        ("../studies/decide.yaml", "../studies/decide.yaml"),
        ("https://a.b/c.py", "https://a.b/c.py"),
        ("#a-heading", "#a-heading"),
    ],
)
def test_links_to_code_and_folders_lead_to_their_pages(link: str, led: str) -> None:
    assert shown(f"see [this]({link}), and more") == f"see [this]({led}), and more"


def test_every_relative_link_of_a_page_leads_to_something_in_the_repository() -> None:
    pages = docs_site._pages()
    assert {"README.md", "docs/data.md", "reports/LOG.md"} <= pages
    broken = [
        (page, link)
        for page in sorted(pages)
        for _, link in docs_site.LINK.findall((ROOT / page).read_text(encoding="utf-8"))
        if "://" not in link and not (ROOT / docs_site._target(page, link)).exists()
    ]
    assert not broken


def test_colab_is_offered_where_the_repository_has_an_address() -> None:
    there = (
        "https://colab.research.google.com/github/ada/muse/blob/main/notebooks/00_foundations.ipynb"
    )
    for address, offered in (("", False), ("https://github.com/ada/muse.git", True)):
        page = docs_site._notebooks(SimpleNamespace(extra={"repository": address}))
        assert (there in page) == offered and "(00_foundations.ipynb)" in page


def test_every_module_has_a_page_in_the_navigation() -> None:
    made = dict(docs_site._reference(ROOT / "muse_core"))
    assert made["muse_core/models/tokenizer.md"] == "::: muse_core.models.tokenizer\n"
    assert "- [tokenizer](tokenizer.md): `MuseTokenizer`" in made["muse_core/models/index.md"]
    listed = str(list(docs_site._navigation(ROOT / "muse_core")))
    assert set(re.findall(r"'(muse_core/[^']*[.]md)'", listed)) == made.keys()


def test_the_workflow_publishes_what_make_docs_builds() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/docs.yml").read_text())
    steps = workflow["jobs"]["build"]["steps"]
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert {"run": "make docs"} in steps
    assert steps[-1]["with"]["path"] == config["site_dir"] and config["strict"] is True


@pytest.mark.long
def test_it_is_built_without_a_broken_link_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="make docs installs what builds the site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {
        file.relative_to(tmp_path / "site").as_posix(): file.read_text(encoding="utf-8")
        for file in (tmp_path / "site").rglob("*.html")
    }
    assert {
        "index.html",
        "docs/data.html",
        "reports/gallery/tiny/05_evaluation.html",
    } <= pages.keys()
    assert {name: found for name, text in pages.items() if (found := external_requests(text))} == {}
    assert "encode" in pages["muse_core/models/tokenizer.html"]
    assert 'href="../muse_core/losses/index.html"' in pages["docs/architecture.html"]
