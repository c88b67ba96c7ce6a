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
    rows = [name for name in SHOWN if any(name in run["ratios"] for run in runs)]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    places = [0.9 * (number + 1) / len(runs) for number in range(len(runs))]
    shades = plt.get_cmap("viridis_r")(places)
    for index, (run, shade) in enumerate(zip(runs, shades, strict=True)):
        # Runs of one ratio lie below each other, the last one lowest.
        apart = 0.7 * ((index + 0.5) / len(runs) - 0.5)
        shown = [
            (place, run["ratios"][name]) for place, name in enumerate(rows) if name in run["ratios"]
        ]
        middle = [one["value"] for _, one in shown]
        below = [one["value"] - one["low"] for _, one in shown]
        above = [one["high"] - one["value"] for _, one in shown]
        at = [place + apart for place, _ in shown]
        words = f"{run['commit'][:7]}, {run['date'][:10]}"
        axes.errorbar(middle, at, xerr=[below, above], fmt="o", capsize=3, color=shade, label=words)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [SHOWN[name] for name in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times faster")
    axes.set_title("Ratios of each make bench, with their lowest and highest round")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    picture = file().with_suffix(".png")
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    return picture
