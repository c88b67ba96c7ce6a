"""What the gallery refuses: a run that is not finished and fresh, machine paths, broken links, too
many bytes.
"""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report import freshness
from muse_core.report.html import external_requests
from muse_core.report.stamps import executed, sources

BUDGET = 10_000_000
"""Bytes of the whole gallery, at most: it is committed to git."""

Files = Mapping[str, bytes]
"""Place inside the gallery -> content."""

_MACHINE = re.compile(
    r"""(?<![\w./\\-])(?:/(?:home|Users)/[\w.-]+/|/(?:root|tmp|var/folders)/|[A-Z]:\\\\?Users\\|file:///)"""
)


def refuse_unready(run: Path, package: str, whole: bool = True) -> None:
    """Raises MuseError unless every notebook (``whole``), or else each that was executed, is
    finished and fresh.
    """
    if not executed(run):
        raise MuseError(
            f"There is no run {run.name!r} in reports: make it with `make reports RUN={run.name}`."
        )
    states = {report.stem: freshness.state(report, package) for report in executed(run)}
    states |= {
        source.stem: "missing" for source in sources() if whole and source.stem not in states
    }
    wrong = [f"{stem} is {state}" for stem, state in sorted(states.items()) if state != "done"]
    wrong += [
        f"{report.stem} has no page"
        for report in executed(run)
        if not report.with_suffix(".html").exists()
    ]
    if wrong:
        raise MuseError(
            f"The gallery shows finished runs only, and in run {run.name!r} {', '.join(wrong)}: "
            f"run `make reports RUN={run.name}` again."
        )


def refuse_unfit(files: Files) -> None:
    """Raises MuseError for a page with a machine's path, a request to the network or a link that
    leads nowhere.
    """
    for name, content in files.items():
        if name.endswith((".html", ".md", ".json")):
            _refuse_page(name, content.decode())
    broken = broken_links(files)
    if broken:
        page, link = broken[0]
        raise MuseError(
            f"The link {link} in {page} leads nowhere inside the gallery: mend it in the notebook."
        )


def _refuse_page(name: str, text: str) -> None:
    found, outside = machine_path(text), external_requests(text)
    if found:
        raise MuseError(
            f"The gallery's {name} shows a path of this machine ({found}): print names or relative paths instead."
        )
    if outside:
        raise MuseError(
            f"The gallery's {name} would load {outside[0]} from the network: put the file into the notebook."
        )


def machine_path(text: str) -> str:
    """The first absolute path that only this machine has, or ""; long base64 texts are not looked
    at.
    """
    plain = re.sub(r"[A-Za-z0-9+/=]{200,}", "", text)
    own = [str(place) for place in (paths.root(), Path.home()) if len(place.parts) > 1]
    starts = [
        found.start()
        for place in own
        if (found := re.search(rf"(?<![\w.]){re.escape(place)}(?![\w-])", plain))
    ]
    starts += [found.start()] if (found := _MACHINE.search(plain)) else []
    return re.match(r"[^\s\"'<>&]{1,80}", plain[min(starts) :])[0] if starts else ""


def refuse_heavy(files: Files, budget: int) -> None:
    """Raises MuseError, with the largest files, when there are too many bytes."""
    if size(files) <= budget:
        return
    largest = sorted(files, key=lambda name: len(files[name]), reverse=True)[:4]
    listed = ", ".join(f"{name} {len(files[name]) / 1e6:.1f} MB" for name in largest)
    raise MuseError(
        f"The gallery would take {size(files) / 1e6:.1f} MB of {budget / 1e6:.0f} MB at most ({listed}, ...): "
        "publish fewer or smaller pictures."
    )


def size(files: Files) -> int:
    return sum(map(len, files.values()))


def broken_links(files: Files) -> list[tuple[str, str]]:
    """(file, link) for every link of a page or of the README to a file that is not in the gallery."""
    texts = (
        (name, content.decode())
        for name, content in files.items()
        if name.endswith((".html", ".md"))
    )
    return [
        (name, link)
        for name, text in texts
        for link in _links(name, text)
        if _target(name, link) not in files
    ]


class _Links(HTMLParser):
    """Collects ``href`` and ``src``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def _links(name: str, text: str) -> list[str]:
    """Links to files; anchors inside the page, embedded data and addresses elsewhere are none."""
    parser = _Links()
    parser.feed(text)
    found = parser.found + (re.findall(r"\]\(([^)\s]+)\)", text) if name.endswith(".md") else [])
    return [link for link in found if not re.match(r"#|//|[A-Za-z][A-Za-z0-9+.-]*:", link)]


def _target(name: str, link: str) -> str:
    place = unquote(re.split(r"[#?]", link)[0])
    return normpath((PurePosixPath(name).parent / place).as_posix())
