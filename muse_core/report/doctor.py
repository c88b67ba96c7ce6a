"""``muse doctor``: what is installed and found on this machine, and what will work with it."""

import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Any

from muse_core import __version__, paths
from muse_core.config.preset import Preset
from muse_core.config.presets import PRESETS
from muse_core.errors import MuseError
from muse_core.results.records import commit

TRAINING = (
    *("torch", "torchvision", "transformers", "diffusers", "accelerate", "timm", "safetensors"),
    *("huggingface_hub", "einops", "jaxtyping", "pydantic", "yaml", "PIL", "tqdm", "filelock"),
)
"""Packages without which nothing is trained."""

BESIDE: dict[str, tuple[str, ...]] = {
    "notebooks and pages (muse run)": ("papermill", "ipykernel", "nbconvert", "latex2mathml"),
    "JupyterLab (muse lab)": ("jupyterlab", "ipywidgets", "anywidget"),
    "figures": ("plotly", "matplotlib"),
    "evaluation (notebook 05)": ("scipy", "sklearn", "torchmetrics", "torch_fidelity", "lpips"),
    "data hf:NAME, hf-stream:NAME": ("datasets",),
    "data wds:PATTERN": ("webdataset", "braceexpand"),
    "words for ImageNet's classes": ("open_clip",),
}
"""What works beside training -> the packages that it takes."""

PIP = {"yaml": "pyyaml", "PIL": "pillow", "sklearn": "scikit-learn", "open_clip": "open-clip-torch"}
"""Packages that pip knows under another name than Python does."""

VERSIONS = ("torch", "transformers", "diffusers", "accelerate", "timm", "jupyterlab", "papermill")
SHOWN_RUNS = 8
ASK_SECONDS = 2.0
"""How long the hub may take to say whether a licence is to be accepted."""


ABSENT = ("missing", "gated")
"""States of weights that are not here; those gated lie behind a licence."""


@dataclass(frozen=True)
class Verdict:
    """Whether something works; ``why`` not, and what to do, in a sentence; else how it is used."""

    name: str
    works: bool
    why: str = ""

    def row(self) -> tuple[str, ...]:
        return "yes" if self.works else "no", self.name, self.why


@dataclass(frozen=True)
class Weights:
    """A pretrained part of some presets. ``state``: "present", one of `ABSENT`, "damaged", or "not
    looked at"; ``why``: the sentence for these last two.
    """

    part: str
    parameter: str
    location: str
    presets: tuple[str, ...]
    state: str
    why: str = ""

    def row(self) -> tuple[str, ...]:
        return self.state, self.part, f"{_short(self.location)} ({', '.join(self.presets)})"


@dataclass(frozen=True)
class Examination:
    """What was found; as a string, the screen that ``muse doctor`` prints."""

    facts: dict[str, str]
    weights: list[Weights]
    presets: list[Verdict]
    extras: list[Verdict]

    def __str__(self) -> str:
        tables = {
            "here": list(self.facts.items()),
            "pretrained weights": [each.row() for each in self.weights],
            "what will work": [each.row() for each in (*self.presets, *self.extras)],
        }
        return "\n\n".join(f"{title}\n{_table(rows)}" for title, rows in tables.items())


def examine() -> Examination:
    """Look at this machine and at the workspace; nothing is loaded, fetched or changed."""
    presets = [make() for make in PRESETS.values()]
    weights = pretrained(presets)
    verdicts = [preset_verdict(preset, weights) for preset in presets]
    return Examination(facts(), weights, verdicts, [*beside(), *judges(), *trackers()])


def facts() -> dict[str, str]:
    """Versions, hardware and workspace, in words."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads, wait = (os.environ.get(f"OMP_{name}") for name in ("NUM_THREADS", "WAIT_POLICY"))
    packages = (f"{name} {installed(name) or 'not installed'}" for name in VERSIONS)
    return {
        "muse": " at ".join(dict.fromkeys([__version__, commit()])),
        "python": f"{platform.python_version()} ({sys.executable})",
        "packages": ", ".join(packages),
        "device": "; ".join(devices()) or "unknown, as torch cannot be imported",
        "memory": _memory(),
        "cores": f"{usable} (OMP_NUM_THREADS={threads or 'unset'}, OMP_WAIT_POLICY={wait})",
        "workspace": _workspace(),
    } | (
        {"runs": runs() or "none yet: `muse demo`, or `muse run all`"} if paths.workspace() else {}
    )


def _workspace() -> str:
    if (where := paths.workspace()) is None:
        return "none here: `muse new FOLDER` makes one"
    if not where.is_dir():
        return f"{where}, which is not there: mend MUSE_ROOT"
    return f"{where}, {_gigabytes(shutil.disk_usage(where).free)} free"


def runs() -> str:
    """Name of each run with a finished stage, the newest first, and how many stages it has."""
    found = paths.trained_runs()
    words = [f"{run} ({stages} of 3 stages)" for run, stages in [*found.items()][:SHOWN_RUNS]]
    more = [f"and {len(found) - SHOWN_RUNS} more"] if len(found) > SHOWN_RUNS else []
    return ", ".join([*words, *more])


def pretrained(presets: Sequence[Preset]) -> list[Weights]:
    """Each pretrained part that the presets name, once."""
    try:
        from muse_core.foundations.parts import PARTS, kept_part
    except ImportError as error:
        why = f"{error.name} is not installed"
        return [Weights("all", "", "", tuple(each.name for each in presets), "not looked at", why)]
    named: dict[tuple[Any, str], list[str]] = {}
    for preset in presets:
        for part in PARTS:
            location = getattr(preset.foundations, part.parameter)
            named.setdefault((part, location), []).append(preset.name)
    found = []
    for (part, location), names in named.items():
        try:
            state, why = ("present", "") if kept_part(part, location) else ("missing", "")
        except MuseError as error:
            state, why = "damaged", str(error)
        found.append(Weights(part.name, part.parameter, location, tuple(names), state, why))
    behind = gated({each.location for each in found if each.state == "missing"})
    return [
        Weights(**vars(each) | {"state": "gated"}) if each.location in behind else each
        for each in found
    ]


def gated(hub_ids: Iterable[str]) -> set[str]:
    """Those whose licence is to be accepted before they can be fetched; none where the hub does not
    answer.
    """
    from huggingface_hub import HfApi

    def behind_licence(hub_id: str) -> bool:
        try:
            return bool(HfApi().model_info(hub_id, expand=["gated"], timeout=ASK_SECONDS).gated)
        # No network, no such model, an answer of a proxy: whatever it is, nothing is known then.
        except Exception:
            return False

    ids = sorted(hub_ids)
    with ThreadPoolExecutor() as together:
        return {
            each for each, yes in zip(ids, together.map(behind_licence, ids), strict=True) if yes
        }


def preset_verdict(preset: Preset, weights: Iterable[Weights]) -> Verdict:
    """Whether a preset can be trained here."""
    own = [each for each in weights if preset.name in each.presets]
    lacking, largest = [each for each in own if each.state in ABSENT], gpu_gigabytes()
    wrong = [lacking_packages(TRAINING), *(each.why for each in own)]
    if lacking:
        parts, them = ", ".join(each.part for each in lacking), "`hf download ID` of those above"
        if any(each.state == "gated" for each in lacking):
            them = f"accept the licence on the page of those gated, `hf auth login` and {them}"
        folders = ", ".join(f"-p {each.parameter} FOLDER" for each in lacking)
        wrong.append(f"no weights of {parts}: {them}, or give copies ({folders})")
    meant = f"meant for a GPU with {preset.gpu_memory:.0f} GB"
    if preset.gpu_memory and not largest:
        wrong.append(f"{meant}, and here is none: train it elsewhere")
    note = f"muse run all -p preset {preset.name}"
    if 0 < largest < preset.gpu_memory:
        note += f" ({meant}: a smaller batch_size for {largest:.0f})"
    why = "; ".join(filter(None, wrong))
    return Verdict(f"preset {preset.name}", not why, why or note)


def beside() -> list[Verdict]:
    """What other packages than those of training are for."""
    lacking = {name: lacking_packages(packages) for name, packages in BESIDE.items()}
    browser = "" if shutil.which("chromium") else "there is no chromium: apt-get install chromium"
    lacking["tests in a browser"] = lacking_packages(("playwright",)) or browser
    return [Verdict(name, not why, why) for name, why in lacking.items()]


def judges() -> list[Verdict]:
    """The networks that compare images, which have stand-ins."""
    try:
        from muse_core.foundations import torch_weights as kept
    except ImportError:
        return []
    fetched = "`muse run 05 -p download true` fetches it"
    vgg16 = kept.weights_file(kept.VGG16_URL)
    urls = {
        "rFID (Inception-v3)": (kept.INCEPTION_URL, f"fd_judge stands in for it: {fetched}"),
        "LPIPS (AlexNet)": (kept.ALEXNET_URL, f"perceptual_judge stands in for it: {fetched}"),
        "perceptual loss (VGG-16)": (
            kept.VGG16_URL,
            f"the teacher's features stand in for it: put {kept.VGG16_URL} into {vgg16.parent}",
        ),
    }
    there = {name: kept.weights_file(url).exists() for name, (url, _) in urls.items()}
    return [Verdict(name, there[name], "" if there[name] else urls[name][1]) for name in urls]


def trackers() -> list[Verdict]:
    """Where metrics can go as well."""
    try:
        from muse_core.training.trackers import tracker_names
    except ImportError:
        return []
    names = tracker_names()
    usable, others = (", ".join(n for n in names if names[n] is there) for there in (True, False))
    here = Verdict("trackers", True, f"{usable}: -p trackers NAME")
    elsewhere = Verdict("other trackers", False, f"{others}: pip install NAME")
    return [here] * bool(usable) + [elsewhere] * bool(others)


def installed(package: str) -> str:
    """The version of a package that can be imported; "" for one that cannot."""
    try:
        there = find_spec(package) is not None
    except (ImportError, ValueError):
        there = False
    try:
        return version(PIP.get(package, package)) if there else ""
    except PackageNotFoundError:
        return "of unknown version"


def lacking_packages(packages: Iterable[str]) -> str:
    """The sentence for those that are absent or older than the workspace needs; "" for none."""
    from packaging.version import InvalidVersion, Version

    wrong, needed = [], requirements()
    for package in packages:
        name, found = PIP.get(package, package).replace("_", "-"), installed(package)
        asked = needed.get(name, "")
        try:
            fits = bool(found) and (not asked or Version(found) in asked)
        except InvalidVersion:
            fits = bool(found)
        if not fits:
            wrong.append((f"{name} {found or 'is not installed'}", f"'{name}{asked}'"))
    said = ", ".join(words for words, _ in wrong)
    prepared = "`make env`, or " if (paths.checkout() / "Makefile").exists() else ""
    install = f"`pip install {' '.join(name for _, name in wrong)}`"
    return f"{said}: {prepared}{install}" if wrong else ""


@cache
def requirements() -> dict[str, Any]:
    """Package -> the versions that fit, by the checkout's pyproject.toml; empty without one."""
    from packaging.requirements import Requirement

    file = paths.checkout() / "pyproject.toml"
    if not file.exists():
        return {}
    project = tomllib.loads(file.read_text())["project"]
    listed = chain(project["dependencies"], *project["optional-dependencies"].values())
    return {each.name: each.specifier for each in map(Requirement, listed)}


def devices() -> list[str]:
    """What torch computes on; empty where it cannot be imported."""
    if (torch := _torch()) is None:
        return []
    gpus = [f"cuda:{i} {of.name} with {_gigabytes(of.total_memory)}" for i, of in _gpus(torch)]
    return ["cpu", *(["mps"] if torch.backends.mps.is_available() else []), *gpus]


def gpu_gigabytes() -> float:
    """Memory of the largest GPU; 0 without one."""
    torch = _torch()
    return max((of.total_memory / 1e9 for _, of in _gpus(torch)), default=0.0) if torch else 0.0


def _torch() -> Any:
    try:
        import torch
    # Not installed, or a library that it loads is not.
    except (ImportError, OSError):
        return None
    return torch


def _gpus(torch: Any) -> list[tuple[int, Any]]:
    count = range(torch.cuda.device_count())
    return [(index, torch.cuda.get_device_properties(index)) for index in count]


def _memory() -> str:
    try:
        from psutil import virtual_memory
    except ImportError:
        return "unknown: psutil is not installed"
    found = virtual_memory()
    return f"{_gigabytes(found.total)}, {_gigabytes(found.available)} free"


def _gigabytes(count: int | float) -> str:
    return f"{count / 1e9:,.0f} GB"


def _short(location: str) -> str:
    """A path from the workspace on, where it lies in it."""
    path = Path(location)
    for home in paths.homes() if path.is_absolute() else ():
        if path.is_relative_to(home):
            return str(path.relative_to(home))
    return location


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in columns, the last of which takes what the terminal leaves."""
    *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    left = sum(widths) + 2 * len(widths) + 2
    room = max(40, shutil.get_terminal_size((120, 0)).columns - left)
    lines = []
    for *cells, last in rows:
        first, *more = wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
        start = "".join(f"{text:<{width}}  " for text, width in zip(cells, widths, strict=True))
        lines += [f"  {start}{first}".rstrip(), *(" " * left + line for line in more)]
    return "\n".join(lines)
