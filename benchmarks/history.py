"""The ratios of every `make bench`, a line each, and their picture."""

import json
from pathlib import Path
from typing import Any

from muse_core import paths

SHOWN = {
    "stage_01_speedup_new_images": "stage 1, new images",
    "stage_02_speedup_new_images": "stage 2, new images",
    "stage_03_speedup_new_images": "stage 3, new images",
    "stage_02_speedup_seen_images": "stage 2, images seen before",
    "stage_03_speedup_seen_images": "stage 3, images seen before",
    "step_speedup_vs_release_recipe": "against the release's recipe",
    "step_speedup_vs_plain_eager": "against plain eager",
}
"""Ratio -> its name in the picture."""
KEPT = ("value", "low", "high")
ALIKE = ("size", "device", "threads")


def file() -> Path:
    return paths.root() / "reports" / "bench" / "history.jsonl"


def append(found: dict[str, Any]) -> None:
    """Keep the ratios of one run, with its commit and date."""
    ratios = {
        name: {key: round(value[key], 3) for key in KEPT}
        for name, value in found.items()
        if isinstance(value, dict) and value.keys() >= set(KEPT)
    }
    line = {name: found["provenance"][name] for name in ("commit", "date", "device")}
    line |= {name: found[name] for name in ("size", "threads")} | {"ratios": ratios}
    file().parent.mkdir(parents=True, exist_ok=True)
    with file().open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def draw() -> Path:
    """``history.png``: each ratio with its spread, from run to run that is like the last one."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = [json.loads(line) for line in file().read_text(encoding="utf-8").splitlines()]
    runs = [line for line in lines if all(line[name] == lines[-1][name] for name in ALIKE)]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, words in SHOWN.items():
        at = [index for index, run in enumerate(runs) if name in run["ratios"]]
        found = [runs[index]["ratios"][name] for index in at]
        if not found:
            continue
        middle = [one["value"] for one in found]
        below = [one["value"] - one["low"] for one in found]
        above = [one["high"] - one["value"] for one in found]
        axes.errorbar(at, middle, yerr=[below, above], marker="o", capsize=3, label=words)
    axes.axhline(1, color="grey", linewidth=0.8)
    labels = [f"{run['commit'][:7]}\n{run['date'][:10]}" for run in runs]
    axes.set_xticks(range(len(runs)), labels)
    axes.set_xlim(-0.5, len(runs) - 0.5)
    axes.set_ylabel("times faster")
    axes.set_title("Ratios of each make bench, with their lowest and highest round")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    picture = file().with_suffix(".png")
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    return picture
