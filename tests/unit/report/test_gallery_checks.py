"""What the gallery refuses, each in one sentence that names what to mend."""

from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.report import gallery_checks as checks

from .conftest import Writer
from .executed import executed_copy

TEMPORARY = "/".join(("", "tmp", ""))
"""Put together here, so that no file of the project holds such a path."""


def finished(source: Path, **changes: str) -> Path:
    report = executed_copy(source, "tiny", **changes)
    report.with_suffix(".html").write_text("page")
    return report


def test_a_finished_run_passes(write_notebook: Writer, workspace: Path) -> None:
    finished(write_notebook("00_a"))
    finished(write_notebook("01_b"))
    checks.refuse_unready(workspace / "reports/tiny", "package")


def test_a_run_that_is_not_there_is_refused(workspace: Path) -> None:
    with pytest.raises(
        MuseError,
        match=r"There is no run 'tiny' in reports: make it with `make reports RUN=tiny`\.",
    ):
        checks.refuse_unready(workspace / "reports/tiny", "package")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "another"}, "00_a is stale"),
        ({"status": "failed"}, "00_a is failed"),
        ({"status": "interrupted"}, "00_a is interrupted"),
    ],
)
def test_a_run_that_is_not_finished_and_fresh_is_refused(
    write_notebook: Writer, workspace: Path, changes: dict[str, str], words: str
) -> None:
    finished(write_notebook("00_a"), **changes)
    with pytest.raises(MuseError, match=words):
        checks.refuse_unready(workspace / "reports/tiny", "package")


def test_missing_notebooks_and_pages_are_named(write_notebook: Writer, workspace: Path) -> None:
    executed_copy(write_notebook("00_a"), "tiny")
    write_notebook("01_b")
    with pytest.raises(MuseError, match="01_b is missing, 00_a has no page"):
        checks.refuse_unready(workspace / "reports/tiny", "package")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<pre>read /home/ada/photos/cat.png</pre>", "/home/ada/photos/cat.png"),
        ("'/Users/ada/x'", "/Users/ada/x"),
        ('"C:\\Users\\ada"', "C:\\Users\\ada"),
        (f"at {TEMPORARY}pytest-1/x", f"{TEMPORARY}pytest-1/x"),
        ("file:///srv/page.html", "file:///srv/page.html"),
        ("data/runs/tiny and ../shared/data", ""),
        ("https://example.org/home/ada/x", ""),
        (f"a{TEMPORARY}b, or /usr/bin/env", ""),
        ("A" * 300 + TEMPORARY + "A" * 300, ""),
    ],
)
def test_paths_of_a_machine_are_found(text: str, found: str) -> None:
    assert checks.machine_path(text) == found


def test_the_workspace_itself_is_a_machine_path(workspace: Path) -> None:
    assert checks.machine_path(f"wrote {workspace}/reports/x.json").startswith(str(workspace))
    with pytest.raises(MuseError, match=r"tiny/00_a\.html shows a path of this machine"):
        checks.refuse_unfit({"tiny/00_a.html": f"<p>{workspace}/x</p>".encode()})


def test_a_request_to_the_network_is_refused() -> None:
    with pytest.raises(MuseError, match=r"would load https://example\.org/a\.js"):
        checks.refuse_unfit({"a.html": b'<script src="https://example.org/a.js"></script>'})


def test_links_inside_the_gallery_are_followed() -> None:
    page = b'<a href="../index.html">x</a><a href="#top">x</a><img src="data:,"><a href="b%20c.html#here">x</a>'
    files = {
        "tiny/a.html": page,
        "tiny/b c.html": b"",
        "index.html": b'<a href="https://example.org">x</a>',
    }
    assert checks.broken_links(files) == []
    checks.refuse_unfit(files)


def test_a_link_that_leads_nowhere_is_refused() -> None:
    files = {"README.md": b"[page](tiny/gone.html)", "tiny/a.html": b'<img src="assets/x.webp">'}
    assert checks.broken_links(files) == [
        ("README.md", "tiny/gone.html"),
        ("tiny/a.html", "assets/x.webp"),
    ]
    with pytest.raises(MuseError, match=r"tiny/gone\.html in README\.md leads nowhere"):
        checks.refuse_unfit(files)


def test_too_many_bytes_are_refused_with_the_largest_files() -> None:
    files = {"a.html": bytes(3_000_000), "b.js": bytes(1_000_000)}
    checks.refuse_heavy(files, 4_000_000)
    with pytest.raises(
        MuseError, match=r"4\.0 MB of 2 MB at most \(a\.html 3\.0 MB, b\.js 1\.0 MB, \.\.\.\)"
    ):
        checks.refuse_heavy(files, 2_000_000)
