"""The table of bad inputs, `bad_inputs.yaml`, as trials: each kind says how its rows
are acted out.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from braceexpand import braceexpand

from muse_core import paths
from muse_core.cli import main
from tests.torture import contents
from tests.torture.bad_input import BadInput, Desk
from tests.torture.damage import VERBS
from tests.torture.workspace import KEPT, STAGE, Workspace

FILE = Path(__file__).with_suffix(".yaml")
Row = list[Any]
SIZE = 32
"""Pixels of a data set's images."""
PROMPT = "a red star"


def _write(folder: Path, files: dict[str, str | None]) -> None:
    """Content by place, braces in a place expanded; None is an empty folder, "absent" no file."""
    for pattern, content in files.items():
        for place in map(folder.joinpath, braceexpand(pattern)):
            (place if content is None else place.parent).mkdir(parents=True, exist_ok=True)
            if content not in (None, "absent"):
                place.write_bytes(contents.content_of(content))


def _command(_: str, row: Row) -> BadInput:
    command, names, fix = row
    files: dict[str, str | None] = {
        "brace.ipynb": "{",
        "empty.ipynb": "",
        "list.ipynb": "[1, 2]",
        "unparsable.ipynb": "$NOTEBOOK",
        "photos/a.png": "$PNG",
        "words/a.txt": "no picture",
    }

    def act(desk: Desk) -> int:
        return main([word.replace("DESK", str(desk.folder)) for word in command.split()])

    return BadInput(command, names, fix, act, lambda desk: _write(desk.folder, files))


def _parameter(notebook: str, row: Row) -> BadInput:
    name, value, names, fix = row

    def act(_: Desk) -> None:
        kept = {"run": KEPT} | ({"device": "cpu"} if "device" in _defaults(notebook) else {})
        _begin(notebook, _defaults(notebook) | kept | {name: contents.text_of(value)})

    return BadInput(f"{name} {value!r}", names, fix, act)


@cache
def _defaults(notebook: str) -> dict[str, Any]:
    """The values in a notebook's own parameters cell."""
    from ast import literal_eval

    from muse_core.report.arguments import known_parameters

    source = paths.notebooks() / f"{notebook}.ipynb"
    return {name: literal_eval(one.default) for name, one in known_parameters(source).items()}


def _begin(notebook: str, values: dict[str, Any]) -> None:
    """What the notebook's setup cell does with its parameters, and the cell that opens its run."""
    from muse_core.data.own_images import own_images
    from muse_core.evaluation.attention.run_attention import run_attention
    from muse_core.evaluation.run_rows import last_tokenizer
    from muse_core.notebook import StageLab, setup
    from muse_core.report.study import study_named

    lab = setup(Path(notebook).name, values)
    given = lab.parameters
    if isinstance(lab, StageLab):
        lab.tokenizer()
    elif notebook.startswith("04"):
        size = given.resolution or lab.preset.image_size
        run_attention(lab.preset, given.run, given.baseline or KEPT, lab.device, size)
        own_images(given.image, size, given.fit)
    elif notebook.startswith("05"):
        last_tokenizer(lab.preset, given.run, lab.device)
    elif notebook.startswith(("06", "07")):
        study_named(given.study)


def _study(_: str, row: Row) -> BadInput:
    what, text, names, fix = row

    def arrange(desk: Desk) -> None:
        _write(desk.folder, {"mine.yaml": text.replace("GOOD", contents.GOOD_STUDY)})

    def act(desk: Desk) -> int:
        return main(["study", str(desk.folder / "mine.yaml"), "--list"])

    return BadInput(what, names, fix, act, arrange)


def _data(parser: str, row: Row, good: dict[str, Any]) -> BadInput:
    what, files, names, fix, *rest = row
    spec, split = [*rest, f"{parser}:DESK", "train"][:1] + [*rest[1:], "train"][:1]

    def act(desk: Desk) -> Any:
        from muse_core.data.sources import open_source

        given = contents.text_of(spec).replace("DESK", str(desk.folder))
        return open_source(given, split, SIZE).first(4)

    return BadInput(what, names, fix, act, lambda desk: _write(desk.folder, _merged(good, files)))


def _merged(good: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
    """``files`` in the place of those of the good folder; both with braces expanded."""
    spread = lambda each: {p: text for pattern, text in each.items() for p in braceexpand(pattern)}
    return spread(good) | spread(files)


def _own_image(parser: str, row: Row) -> BadInput:
    given, names, fix = row
    files = {"good.png": "$PNG", "dot.png": "$DOT", "line.png": "$LINE", "folder.png": None}

    def act(desk: Desk) -> Any:
        from muse_core.data.own_images import image_from_bytes, own_images

        if parser == "drop":
            return image_from_bytes("me.png", contents.content_of(given), 2 * SIZE)
        return own_images(contents.text_of(given).replace("DESK", str(desk.folder)), 2 * SIZE)

    return BadInput(str(given)[:40], names, fix, act, lambda desk: _write(desk.folder, files))


def _folder(part: str, row: Row) -> BadInput:
    what, (verb, *arguments), names, fix = row

    def arrange(desk: Desk) -> None:
        copied = desk.copied(_source(part, desk.workspace), part)
        VERBS[verb](next(copied.glob("step-*"), copied), *arguments)

    return BadInput(
        what,
        names.replace("DESK", part),
        fix,
        lambda desk: _load(part, desk.folder / part),
        arrange,
    )


def _source(part: str, workspace: Workspace) -> Path:
    """The good folder."""
    known = {
        "tokenizer": lambda: workspace.tokenizer,
        "checkpoint": lambda: paths.run_folder(KEPT) / STAGE / "checkpoints",
        "pipeline": lambda: workspace.pipeline_folder,
    }
    return known.get(part, lambda: paths.foundations("tiny") / part)()


def _load(part: str, folder: Path) -> Any:
    from muse_core.foundations.backbone import Backbone
    from muse_core.foundations.pixel_decoder import load_autoencoder
    from muse_core.foundations.scene_detector import load_scene_detector
    from muse_core.foundations.text_tower import TextTower
    from muse_core.foundations.topology_teacher import DinoV3Teacher
    from muse_core.generation.pipeline import MusePipeline
    from muse_core.models.tokenizer import MuseTokenizer
    from muse_core.training.checkpoint import latest_checkpoint

    loaders: dict[str, Callable[[Any], Any]] = {
        "tokenizer": MuseTokenizer.from_pretrained,
        "checkpoint": latest_checkpoint,
        "backbone": Backbone.from_pretrained,
        "teacher": DinoV3Teacher.from_pretrained,
        "autoencoder": load_autoencoder,
        "text_tower": TextTower.from_pretrained,
        "scene_detector": load_scene_detector,
        "pipeline": MusePipeline.from_pretrained,
    }
    return loaders[part](folder)


def _call(parser: str, row: Row) -> BadInput:
    what, options, names, fix = row

    def act(desk: Desk) -> Any:
        import torch

        from muse_core.generation.editing import edit

        pipeline = desk.workspace.pipeline
        given = {
            name: torch.zeros(value) if name in ("latents", "mask") else value
            for name, value in options.items()
        }
        if parser == "draw":
            return pipeline(**{"prompt": PROMPT, "num_inference_steps": 1} | given)
        side = pipeline.vae.config.image_size
        given = {"prompts": [PROMPT], "num_inference_steps": 1} | given
        return edit(pipeline, torch.rand(1, 3, side, side), **given)

    return BadInput(what, names, fix, act)


def _record(parser: str, row: Row) -> BadInput:
    what, content, names, fix = row

    def arrange(desk: Desk) -> None:
        _write(desk.folder, {} if content is None else {"mine": content})

    def act(desk: Desk) -> Any:
        from muse_core.evaluation.gradients.geometry_recorder import read_geometry
        from muse_core.results.records import read_json, read_jsonl

        file = desk.folder / "mine"
        if parser == "geometry":
            return read_geometry([file])
        return list({"json": read_json, "jsonl": read_jsonl}[parser](file))

    return BadInput(str(what), names, fix, act, arrange)


KINDS: dict[str, Callable[..., BadInput]] = {
    "command": _command,
    "parameter": _parameter,
    "study": _study,
    "data": _data,
    "own image": _own_image,
    "folder": _folder,
    "call": _call,
    "record": _record,
}


def table() -> dict[str, list[BadInput]]:
    """Kind and parser -> its bad inputs."""
    found: dict[str, list[BadInput]] = {}
    for kind, parsers in yaml.safe_load(FILE.read_text()).items():
        for together, rows in parsers.items():
            goods = [row["GOOD"] for row in rows if isinstance(row, dict)]
            more = {"good": goods[0] if goods else {}} if kind == "data" else {}
            for parser in together.split(", "):
                found.setdefault(f"{kind} {parser}", []).extend(
                    KINDS[kind](parser, row, **more) for row in rows if isinstance(row, list)
                )
    return found
