"""What captions, class names, prompts, errors and records hold is text in every page that shows
them.
"""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ...evil_pages import MARK, write_run


class Elements(HTMLParser):
    """What a browser would make of a page: its handlers, its scripts, its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.inside = False
        self.kind = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.handlers += [
            f"<{tag} {name}={value}>" for name, value in attrs if name.startswith("on")
        ]
        self.links += [given["href"] or ""] if "href" in given else []
        self.sources += [given["src"] or ""] if "src" in given else []
        if tag == "script":
            self.inside, self.kind = True, given.get("type") or ""

    def handle_data(self, data: str) -> None:
        if self.inside and self.kind != "application/json":
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "script"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evil")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSE_ROOT", str(root))
        write_run(root)
    return root / "reports"


@pytest.mark.parametrize("place", ["evil/00_evil.html", "index.html"])
def test_nothing_of_it_is_markup(reports: Path, place: str) -> None:
    page = (reports / place).read_text()
    found = Elements(page)
    assert MARK in page, "the page shows none of it, so this test would prove nothing"
    assert found.handlers == []
    assert not [script for script in found.scripts if MARK in script]
    assert not [link for link in found.links if "javascript" in link.lower()]
    assert not [source for source in found.sources if source == "x"]


def test_plotly_gets_no_tags_but_ours(reports: Path) -> None:
    """Plotly itself reads links and styles in texts: none may be left for it."""
    page = (reports / "evil/00_evil.html").read_text()
    specs = [
        part.split("</script>")[0] for part in page.split('<script type="application/json">')[1:]
    ]
    texts = json.dumps([spec for spec in map(json.loads, specs) if "layout" in spec])
    assert MARK in texts
    for tag in ("<img", "<script", "<svg", "<a "):
        assert tag not in texts


def test_a_folder_that_is_no_runs_name_is_not_linked(reports: Path) -> None:
    assert "javascript:window.owned=6" not in (reports / "index.html").read_text()


def test_the_gallerys_readme_says_a_folders_name_as_text(reports: Path) -> None:
    readme = (reports / "README.md").read_text()
    assert r"\<svg onload=window.owned=3\>" in readme and "<svg" not in readme.replace(r"\<", "")
