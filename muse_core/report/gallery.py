"""``reports/gallery/``: finished runs made light enough for git, to be read without running any.

    gallery/index.html  README.md   every run of the gallery on one page, and the same for GitHub
    gallery/assets/                 pictures and plotly, shared by all pages
    gallery/<name>/NN_name.html     the pages of one run, with their records and a manifest

A run stands beside the ablation study and the longer trainings of the generators, each put there by
a command of its own. Pictures are WebP files named after their content, plotly is compressed, and
the attention explorer's maps have 64 steps.
"""

import base64
import binascii
import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote

import numpy as np
from pydantic import TypeAdapter

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report.cover import as_webp
from muse_core.report.html import Links, external_requests
from muse_core.report.index import TEMPLATES, render
from muse_core.report.stamps import executed, source_sha, sources, state
from muse_core.report.summary import RunSummary, summary
from muse_core.results.machine_paths import machine_path

BUDGET = 20_000_000
"""Bytes of the whole gallery, at most."""
SHOWS = {
    "ablations": ("The study that decides", "ablations.json"),
    "sensitivity": ("Losses, curriculum, teacher, attention", "ablations.json"),
    "grid": ("Rates and steps, halved and doubled", "ablations.json"),
    "table1": ("Every system of Table 1", "table_one.json"),
    "language": ("A language model reads the latent, and draws on it", "unified.json"),
    "generation": ("Generators trained for longer", "generation.json"),
    "generation-long": ("A generator trained for longer still", "generation.json"),
}
"""Folder in the gallery -> its title and the record it keeps; any other name is a whole run."""
LEAD = (
    "Its reports are kept with the repository, so that they can be read without running anything."
)

Files = Mapping[str, bytes]
"""Place inside the gallery -> content."""


@dataclass(frozen=True)
class Manifest:
    """What a folder of the gallery was made from; ``notebooks``: name -> hash of its cells."""

    run: str
    notebooks: dict[str, str]
    summary: RunSummary


MANIFESTS = TypeAdapter(Manifest)


def folder() -> Path:
    return paths.root() / "reports" / paths.GALLERY


def write(run: str, into: str = "") -> Path:
    """Put a finished run into the gallery, in place of what was shown under its name.

    Args:
        run: Name of the run.
        into: A name of `SHOWS`; empty for a whole run, which takes the place of the one before.

    Raises:
        MuseError: A run that is missing, unfinished, failed or stale, a page with a path of this
            machine or a broken link, or too many bytes. The gallery is left as it was.
    """
    if into and into not in SHOWS:
        raise MuseError(f"The gallery has no {into!r}: choose one of {', '.join(SHOWS)}.")
    report = paths.report_folder(run)
    refuse_unready(report, whole=not into)
    kept = {
        name: data
        for name, data in content(folder()).items()
        if (part := name.split("/")[0]) == "assets"
        or ("/" in name and (part != into if into else part in SHOWS))
    }
    return put(site(kept | light(report, into or run)), folder())


def content(place: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    files = (file for file in place.rglob("*") if file.is_file())
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}


def light(report: Path, name: str) -> dict[str, bytes]:
    """The files of one run: light pages, their pictures, its record and its manifest."""
    files: dict[str, bytes] = {}
    for notebook in executed(report):
        page = notebook.with_suffix(".html").read_text(encoding="utf-8")
        files[f"{name}/{notebook.stem}.html"] = _light_page(page, files).encode()
    shown = summary(report)
    rows = []
    for row in shown.notebooks:
        data = base64.b64decode(row.cover.partition(",")[2])
        cover = _asset(data, files) if data else ""
        rows.append(replace(row, link=f"{name}/{row.stem}.html", cover=cover))
    title, record = SHOWS.get(name, (shown.title, ""))
    if record:
        if not (report / "records" / record).exists():
            raise MuseError(f"Run {report.name!r} has no {record}: execute its notebook first.")
        files[f"{name}/records/{record}"] = (report / "records" / record).read_bytes()
    hashes = {row.stem: source_sha(paths.notebooks() / f"{row.stem}.ipynb") for row in rows}
    manifest = Manifest(report.name, hashes, replace(shown, name=name, title=title, notebooks=rows))
    files[f"{name}/manifest.json"] = MANIFESTS.dump_json(manifest, indent=2) + b"\n"
    return files


def _light_page(page: str, files: dict[str, bytes]) -> str:
    page = page.replace('src="assets/plotly.min.js"', 'src="../assets/plotly.packed.js"')
    page = _DATA.sub(lambda found: found[1] + in_64_steps(found[2]) + found[3], page)

    def filed(found: re.Match[str]) -> str:
        webp = _small_webp(base64.b64decode(found[1]))
        return f'src="../{_asset(webp, files)}"' if webp else found[0]

    return _PICTURE.sub(filed, page)


def _small_webp(png: bytes) -> bytes:
    """Without loss, unless little loss saves a fifth, as it does for pictures full of images; the
    report they come from has them as they were.
    """
    exact = as_webp(png, 16_000, lossless=True, quality=90, method=4)
    near = as_webp(png, 16_000, quality=95, method=4)
    return near if len(near) < 0.8 * len(exact) else exact


_DATA = re.compile(r'(<script type="application/json">)(.*?)(</script>)', re.DOTALL)
_PICTURE = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=\s]+)"')


def _asset(data: bytes, files: dict[str, bytes]) -> str:
    """A picture as a file named after its content."""
    name = f"assets/{hashlib.sha256(data).hexdigest()[:16]}.webp"
    files[name] = data
    return name


def in_64_steps(text: str) -> str:
    """The JSON of an attention explorer with coarser maps; any other JSON as it was.

    Rounding 256 steps to 64 is an error of at most 1/126 of a map's largest value.
    """
    try:
        given = json.loads(text)
        for source in given["data"]["sources"]:
            maps = np.frombuffer(gzip.decompress(base64.b64decode(source["maps"])), np.uint8)
            coarse = np.rint(np.rint(maps * (63 / 255)) * (255 / 63)).astype(np.uint8)
            packed = gzip.compress(coarse.tobytes(), 9, mtime=0)
            source["maps"] = base64.b64encode(packed).decode("ascii")
    except (KeyError, TypeError, ValueError, OSError, EOFError, binascii.Error):
        return text
    return json.dumps(given).replace("<", "\\u003c")


def site(shown: Files) -> dict[str, bytes]:
    """The whole gallery from the files of its runs: an index, a README, and the assets in use.

    Raises:
        MuseError: As `write`.
    """
    files = dict(shown)
    runs = sorted(
        (MANIFESTS.validate_json(files[name]).summary for name in files if "manifest.json" in name),
        key=lambda run: (run.name in SHOWS, run.name),
    )
    index = render("index.html.j2", runs, title="MUSE gallery", lead=LEAD)
    files["index.html"] = index.encode()
    files["README.md"] = render("README.md.j2", runs, title="MUSE gallery", lead=LEAD).encode()
    texts = {name: data.decode() for name, data in files.items() if not _is_asset(name)}
    if any("plotly.packed.js" in text for text in texts.values()):
        files["assets/plotly.packed.js"] = packed_plotly()
    used = {_target(name, link) for name, text in texts.items() for link in links(name, text)}
    files = {
        name: data for name, data in sorted(files.items()) if not _is_asset(name) or name in used
    }
    refuse_unfit(files)
    return files


def _is_asset(name: str) -> bool:
    return name.startswith("assets/")


def packed_plotly() -> bytes:
    """The library inside a script that unpacks it in the reader's browser: 2.0 MB, not 4.8."""
    from jinja2 import Template
    from plotly.offline import get_plotlyjs

    library = get_plotlyjs()
    licence = re.match(r"\s*/\*.*?\*/", library, re.DOTALL)
    packed = base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode("ascii")
    template = Template((TEMPLATES / "plotly.packed.js.j2").read_text(encoding="utf-8"))
    return template.render(licence=licence[0].strip() if licence else "", packed=packed).encode()


def refuse_unready(run: Path, whole: bool = True) -> None:
    """Raises MuseError unless each notebook (those executed, if not ``whole``) is done
    and fresh.
    """
    if not executed(run):
        raise MuseError(
            f"There is no run {run.name!r} in reports: make it with `make reports RUN={run.name}`."
        )
    states = {source.stem: "missing" for source in sources() if whole}
    for report in executed(run):
        states[report.stem] = state(report)
        if states[report.stem] == "done" and not report.with_suffix(".html").exists():
            states[report.stem] = "without a page"
    wrong = [f"{stem} is {found}" for stem, found in sorted(states.items()) if found != "done"]
    if wrong:
        raise MuseError(
            f"The gallery shows finished runs only, and in run {run.name!r} {', '.join(wrong)}: "
            f"run `make reports RUN={run.name}` again."
        )


def refuse_unfit(files: Files, budget: int = BUDGET) -> None:
    """Raises MuseError for too many bytes, a path of this machine, a request to the network, or a
    link that leads nowhere.
    """
    size = sum(map(len, files.values()))
    if size > budget:
        raise MuseError(
            f"The gallery would take {size / 1e6:.1f} MB of {budget / 1e6:.0f} MB at most: "
            "publish fewer or smaller pictures."
        )
    for name, data in files.items():
        if _is_asset(name):
            continue
        text = data.decode()
        if found := machine_path(text):
            raise MuseError(
                f"The gallery's {name} shows a path of this machine ({found}): "
                "print names or relative paths instead."
            )
        if outside := external_requests(text):
            raise MuseError(
                f"The gallery's {name} would load {outside[0]} from the network: "
                "put the file into the notebook."
            )
        for link in links(name, text):
            if _target(name, link) not in files:
                raise MuseError(
                    f"The link {link} in {name} leads nowhere inside the gallery: mend it in the "
                    "notebook."
                )


def links(name: str, text: str) -> list[str]:
    """Links of a page or README to files; anchors, data and addresses elsewhere are none."""
    found = Links(text).links if name.endswith((".html", ".md")) else []
    found += re.findall(r"\]\(([^)\s]+)\)", text) if name.endswith(".md") else []
    return [link for link in found if not re.match(r"#|//|[A-Za-z][A-Za-z0-9+.-]*:", link)]


def _target(name: str, link: str) -> str:
    place = unquote(re.split(r"[#?]", link)[0])
    return normpath((PurePosixPath(name).parent / place).as_posix())


def put(files: Files, target: Path) -> Path:
    """Write all files beside the target, then let them take its place, whole or not at all.

    Raises:
        MuseError: The disk refuses, or the target is something else than a gallery.
    """
    if target.exists() and not any(target.glob("*/manifest.json")):
        raise MuseError(f"{target} is not a gallery, and would be replaced: move it away first.")
    fresh, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise MuseError(
            f"Cannot write {target} ({error.strerror}): free some space or mend its permissions."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return target
