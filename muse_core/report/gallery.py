"""``reports/gallery/``: one finished run, light enough for git, so that a visitor reads it without
running anything; and ``reports/ablations/``, the same of the notebooks that read a study, with
their records.

    gallery/index.html  README.md  manifest.json        the run on one page, the same for GitHub, where it comes from
    gallery/covers/NN_name.webp                         a small picture a notebook
    gallery/<run>/NN_name.html  gallery/<run>/assets/   the pages, so that their links to "../index.html" hold

Measured on run tiny with notebooks 00 to 05, whose pages take 18.6 MB with plotly: 8.5 MB with
every figure interactive, of which the explorer's page is 3.1, pictures 2.8 and plotly 2.0; 6.8 MB
with plotly's figures as stills. They stay interactive while that fits into `gallery_checks.BUDGET`;
beyond, they are stills, and the attention explorer alone stays alive."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report import freshness, gallery_checks
from muse_core.report.covers import cover
from muse_core.report.gallery_page import PLOTLY, lighten
from muse_core.report.gallery_readme import readme
from muse_core.report.gallery_script import packed_plotly
from muse_core.report.index import INTERACTIVE, Frame, render
from muse_core.report.run_summary import Picture, RunSummary, summary
from muse_core.report.stamps import executed, read_notebook

MANIFEST = "manifest.json"
LEAD = "This run is kept with the repository, so that it can be read without running anything."
STILLS = "The pages show still pictures, except for the attention explorer, and need neither a kernel nor a network."


@dataclass(frozen=True)
class Showcase:
    """A committed folder of reports. ``whole``: it needs every numbered notebook; ``records``:
    files kept beside the pages.
    """

    name: str
    title: str
    whole: bool
    records: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return paths.COMMITTED[self.name]


GALLERY = Showcase(paths.GALLERY, "MUSE gallery", whole=True)
ABLATIONS = Showcase(paths.ABLATIONS, "MUSE ablations", whole=False, records=("ablations.json",))
GENERATION = Showcase(
    paths.GENERATION, "MUSE generation", whole=False, records=("generation.json",)
)
GENERATION_LONG = Showcase(
    paths.GENERATION_LONG, "MUSE generation, longer", whole=False, records=("generation.json",)
)
SHOWCASES = {
    showcase.name: showcase for showcase in (GALLERY, ABLATIONS, GENERATION, GENERATION_LONG)
}


def folder(showcase: Showcase = GALLERY) -> Path:
    return paths.root() / "reports" / showcase.name


def write(run: str, showcase: Showcase = GALLERY) -> Path:
    """Write a run's showcase, whole or not at all.

    Raises MuseError for a run that is missing, unfinished, failed or stale, for a page with a path
    of this machine or a broken link, and when all of it is too heavy."""
    gallery_checks.refuse_unready(paths.report_folder(run), freshness.package_sha(), showcase.whole)
    return put(contents(paths.report_folder(run), showcase=showcase), folder(showcase))


def contents(
    run: Path, budget: int = gallery_checks.BUDGET, showcase: Showcase = GALLERY
) -> dict[str, bytes]:
    """Every file of the gallery: place -> content, with interactive figures if that fits. Raises
    MuseError as `write`.
    """
    files = _files(run, showcase, interactive=True)
    if gallery_checks.size(files) > budget:
        files = _files(run, showcase, interactive=False)
    gallery_checks.refuse_heavy(files, budget)
    gallery_checks.refuse_unfit(files)
    return files


def _files(run: Path, showcase: Showcase, *, interactive: bool) -> dict[str, bytes]:
    shown, covers = _with_covers(run, summary(run, freshness.package_sha()))
    pages = INTERACTIVE if interactive else STILLS
    texts = {
        "index.html": render([shown], Frame(showcase.title, f"{LEAD} {pages}")),
        "README.md": readme(shown, pages, showcase.title, showcase.command),
        MANIFEST: _manifest(shown, interactive),
    }
    files = (
        {name: text.encode() for name, text in texts.items()} | covers | _pages(run, interactive)
    )
    files |= {f"records/{name}": _record(run, name) for name in showcase.records}
    return dict(sorted(files.items()))


def _record(run: Path, name: str) -> bytes:
    file = run / "records" / name
    if not file.exists():
        raise MuseError(
            f"Run {run.name!r} has no {name}: execute the notebook that writes it first."
        )
    return file.read_bytes()


def _with_covers(run: Path, shown: RunSummary) -> tuple[RunSummary, dict[str, bytes]]:
    """The run with links to its covers, and the covers."""
    files, rows = {}, []
    for row in shown.notebooks:
        found = cover(read_notebook(run / f"{row.stem}.ipynb"))
        if found:
            name = f"covers/{row.stem}.{found.kind}"
            files[name] = found.data
            row = replace(row, picture=Picture(name, found.alt, found.width, found.height))
        rows.append(row)
    return replace(shown, notebooks=rows), files


def _pages(run: Path, interactive: bool) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for report in executed(run):
        page = report.with_suffix(".html")
        light = lighten(page.read_text(encoding="utf-8"), interactive=interactive)
        files[f"{run.name}/{page.name}"] = light.html.encode()
        files |= {f"{run.name}/{name}": data for name, data in light.files.items()}
        if PLOTLY in light.html:
            files[f"{run.name}/{PLOTLY}"] = packed_plotly()
    return files


def _manifest(shown: RunSummary, interactive: bool) -> str:
    """What the gallery was made from; a test compares it with the notebooks."""
    facts = dict(shown.facts)
    sources = {
        row.stem: freshness.source_sha(paths.notebooks() / f"{row.stem}.ipynb")
        for row in shown.notebooks
    }
    record = {
        "run": shown.name,
        "preset": facts.get("Preset", ""),
        "commit": facts.get("Commit", ""),
        "date": shown.date,
    }
    record |= {"figures": "interactive" if interactive else "stills", "notebooks": sources}
    return json.dumps(record, indent=2) + "\n"


def put(files: dict[str, bytes], target: Path) -> Path:
    """Write all files beside the target, then swap. Raises MuseError when the disk refuses or the
    target is something else.
    """
    if target.exists() and not (target / MANIFEST).exists():
        raise MuseError(f"{target} is not a gallery, and would be replaced: move it away first.")
    fresh, old = (
        target.with_name(f".{target.name}.{os.getpid()}.{kind}") for kind in ("new", "old")
    )
    try:
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
        _swap(fresh, target, old)
    except OSError as error:
        raise MuseError(
            f"Cannot write {target} ({error.strerror}): free some space or mend its permissions."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return target


def _swap(fresh: Path, target: Path, old: Path) -> None:
    """The new folder takes the place of the old one, which comes back if that fails."""
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
