"""``python -m scripts.tiny_foundations FOLDER --seed 1`` trains every stand-in from nothing.

Below FOLDER each part has a folder of its own, and ``card.json`` says what it is and how good. An
hour and a quarter on one core. A run takes them as
``-p overrides "backbone=FOLDER/backbone text_tower=FOLDER/text_tower teacher=FOLDER/teacher"``.
"""

import argparse
import shlex
from pathlib import Path

from muse_core.config.overrides import load_preset
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.training.teachers import load_teachers
from scripts.tiny_foundations.build import RECIPES, build
from scripts.tiny_foundations.health import FoundationQuality, measure_foundations, write_card

PARTS = ("backbone", "autoencoder", "teacher", "text_tower")
"""What a preset names."""


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("folder", type=Path, help="where the parts go, a folder each")
    asked.add_argument("--seed", type=int, default=0, help="of initialisation and data order")
    asked.add_argument(
        "--parts", nargs="+", choices=RECIPES, default=list(RECIPES), help="all, unless named"
    )
    asked.add_argument(
        "--steps", type=_steps, default=0, help="of every part; 0 for its recipe's own"
    )
    given = asked.parse_args()
    folder, train = given.folder.resolve(), Scenes("train")
    parts = [part for part in RECIPES if part in given.parts]
    trained = {part: build(part, folder, train, given.seed, given.steps) for part in parts}
    print(write_card(folder, measured(folder, train), trained, given.seed, train.fingerprint))


def _steps(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number of steps, 0 or more, and not {text!r}")
    return int(text)


def measured(folder: Path, train: Scenes) -> FoundationQuality | None:
    """None while parts are lacking."""
    if not all((folder / part).is_dir() for part in PARTS):
        return None
    own = " ".join(shlex.quote(f"{part}={folder / part}") for part in PARTS)
    preset = load_preset("tiny", f"{own} foundations.teacher_layers=2,3,4,5,6,7")
    return measure_foundations(preset, load_teachers(preset, "cpu"), train, Scenes("val"))


if __name__ == "__main__":
    try:
        main()
    except MuseError as error:
        raise SystemExit(f"tiny_foundations: {error}") from None
