"""The walks of docs/architecture.md: a training enters the files they name, in their order."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from scripts import architecture

from .micro import micro_run


def named_files(walk: str) -> list[str]:
    """The links of a walk, in order, below muse_core."""
    text = architecture.WALKS.read_text().split(f"**`{walk}`**")[1].split("\n**")[0]
    return re.findall(r"\]\(\.\./muse_core/([^)]+)\)", text)


@contextmanager
def entered() -> Iterator[list[str]]:
    """The files of muse_core whose functions are called, in order, while it lasts."""
    package, files = f"{architecture.ROOT / 'muse_core'}/", []

    def note(frame, event: str, _) -> None:
        place = frame.f_code.co_filename
        if event == "call" and place.startswith(package):
            files.append(place.removeprefix(package))

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


def missed(named: list[str], files: list[str]) -> list[str]:
    """What is left of the named files once each was looked for behind the one before."""
    left = list(named)
    for file in files:
        if left and file.startswith(left[0]):
            left.pop(0)
    return left


def captioned(folder: Path) -> str:
    """A handful of images with captions, as a data source."""
    lines = []
    for number in range(40):
        pixels = np.full((32, 32, 3), 6 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "caption": f"grey number {number}"}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return f"captions:{folder}"


def test_a_training_goes_where_the_walks_say(micro, tmp_path) -> None:
    run = micro_run(
        "01_topology_warmup",
        run="walks",
        steps=1,
        data=captioned(tmp_path),
        overrides="weights.anchor=1",
    )
    with entered() as opening:
        trainer = run.open().trainer()
    with entered() as fitting:
        trainer.fit()
    images, captions = named_files("images"), named_files("captions")
    assert len(images) > 8 and missed(images, fitting) == []
    assert len(captions) > 8 and missed(captions, opening + fitting) == []
    assert missed(images[::-1], fitting), "any order would do"
