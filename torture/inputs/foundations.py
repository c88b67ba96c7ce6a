"""Folders given as ``backbone``, ``teacher``, ``autoencoder`` and ``text_tower``, and what lies
beside them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import PROJECTION_FILE, ImageTower
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.foundations.text_tower import TextTower
from muse_core.foundations.topology_teacher import DinoV3Teacher
from torture.bad_input import BadInput, Desk
from torture.damage import (
    copied,
    cut,
    edit_json,
    edit_weights,
    lose_first,
    not_a_number,
    only_pickle,
    weights_of,
    widen_first,
)

LOADERS: dict[str, Callable[[Any], Any]] = {
    "backbone": Backbone.from_pretrained,
    "teacher": DinoV3Teacher.from_pretrained,
    "autoencoder": load_autoencoder,
    "text_tower": TextTower.from_pretrained,
    "scene_detector": load_scene_detector,
}
COPY, GIVE, SAME, OTHER = (
    "copy or download it again",
    "give a folder",
    "the same model",
    "another model",
)


def _row(
    part: str, name: str, names: str, fix: str, damage: Callable[[Path, Desk], Any]
) -> BadInput:
    def arrange(desk: Desk) -> None:
        damage(copied(paths.foundations("tiny") / part, desk.folder / part), desk)

    act = lambda desk: LOADERS[part](desk.folder / part)
    return BadInput(
        f"foundations: {part}, {name}", f"gives a {part} with {name}", names, fix, act, arrange
    )


def _emptied(folder: Path, _: Desk) -> None:
    for file in folder.iterdir():
        file.unlink()


def _pickled(folder: Path, desk: Desk) -> None:
    name = (
        "diffusion_pytorch_model.bin"
        if (folder / "diffusion_pytorch_model.safetensors").exists()
        else "pytorch_model.bin"
    )
    only_pickle(folder, name, desk.workspace.root / "executed")


def _sharded(shard: str) -> Callable[[Path, Desk], Any]:
    def damage(folder: Path, _: Desk) -> None:
        file = weights_of(folder)
        index = f'{{"weight_map": {{"a": "{shard}", "b": "{shard}"}}}}'
        file.with_name(f"{file.name}.index.json").write_text(index)
        file.unlink()

    return damage


EVERY = (
    ("nothing in its folder", "config.json", GIVE, _emptied),
    ("a config.json cut short", "config.json", GIVE, lambda at, _: cut(at / "config.json")),
    (
        "another model",
        "bert",
        "not a",
        lambda at, _: edit_json(
            at / "config.json", lambda c: c.update(model_type="bert", _class_name="bert")
        ),
    ),
    ("weights cut short", "cannot be read", COPY, lambda at, _: cut(weights_of(at))),
    ("a weight too few", "lacks", OTHER, lambda at, _: edit_weights(at, lose_first)),
    ("a weight of another shape", "shape", SAME, lambda at, _: edit_weights(at, widen_first)),
    (
        "a weight that is not a number",
        "not finite",
        "another copy",
        lambda at, _: edit_weights(at, not_a_number),
    ),
    ("a pickle for weights", ".bin", "safetensors", _pickled),
)
DAMAGED = tuple(
    _row(part, name, names, COPY if (part, fix) == ("scene_detector", GIVE) else fix, damage)
    for part in LOADERS
    for name, names, fix, damage in EVERY
    if not (
        part == "scene_detector" and name == "another model"
    )  # it has one kind, and no table of them
)
FOUR = ("backbone", "teacher", "autoencoder", "text_tower")
SHARDS = tuple(
    row
    for part in FOUR[:2]
    for row in (
        _row(
            part,
            "a shard that is not there",
            "model-00001.safetensors",
            COPY,
            _sharded("model-00001.safetensors"),
        ),
        _row(
            part,
            "a shard elsewhere",
            "../../elsewhere",
            "beside it",
            _sharded("../../elsewhere.safetensors"),
        ),
        _row(
            part,
            "an index that lists nothing",
            "index.json",
            COPY,
            lambda at, _: (
                weights_of(at).rename(at / "model.safetensors.index.json").write_text("{}")
            ),
        ),
        _row(
            part,
            "other colours",
            "image_mean",
            "another checkpoint",
            lambda at, _: (at / "preprocessor_config.json").write_text(
                '{"image_mean": [0.5, 0.5, 0.5]}'
            ),
        ),
        _row(
            part,
            "colours in words",
            "preprocessor_config.json",
            "remove the file",
            lambda at, _: (at / "preprocessor_config.json").write_text('{"image_mean": "grey"}'),
        ),
    )
)
SPECIAL = (
    _row(
        "backbone",
        "a weight too many",
        "no place for",
        SAME,
        lambda at, _: edit_weights(at, lambda w: w.update(extra=w[min(w)].clone())),
    ),
    _row(
        "backbone",
        "a size in words",
        "config.json",
        GIVE,
        lambda at, _: edit_json(at / "config.json", lambda c: c.update(hidden_size="large")),
    ),
    _row(
        "text_tower",
        "no words",
        "tokenizer",
        "put tokenizer.json",
        lambda at, _: (at / "tokenizer.json").unlink(),
    ),
    _row(
        "text_tower", "words cut short", "tokenizer", COPY, lambda at, _: cut(at / "tokenizer.json")
    ),
    _row(
        "text_tower",
        "words that are a list",
        "tokenizer",
        COPY,
        lambda at, _: (at / "tokenizer.json").write_text("[]"),
    ),
)


def _given(part: str, location: str, name: str, names: str, fix: str) -> BadInput:
    act = lambda desk: LOADERS[part](location.replace("DESK", str(desk.folder)))
    arrange = lambda desk: (desk.folder / "file").write_text("weights")
    return BadInput(
        f"foundations: {part}, {name}", f"gives {part}={location}", names, fix, act, arrange
    )


PLACES = tuple(
    _given(part, location, name, names, fix)
    for part in FOUR
    for location, name, names, fix in (
        ("DESK/nowhere", "a folder that is not there", "nowhere", GIVE),
        ("DESK/file", "a file", "file", GIVE),
        (
            "nobody/nothing-of-this-name",
            "a hub id that is not here",
            "nobody/nothing-of-this-name",
            f"-p {part} FOLDER",
        ),
        ("one/two/three", "a hub id of three", "one/two/three", f"-p {part} FOLDER"),
    )
)


def _projection(name: str, names: str, content: bytes | None) -> BadInput:
    def arrange(desk: Desk) -> None:
        copied(paths.foundations("tiny") / "backbone", desk.folder / "backbone")
        if content is not None:
            (desk.folder / PROJECTION_FILE).write_bytes(content)

    act = lambda desk: ImageTower.from_pretrained(desk.folder / "backbone")
    fix = COPY if content is not None else "put it there"
    return BadInput(
        f"foundations: projection, {name}", f"distils with {name}", names, fix, act, arrange
    )


PROJECTIONS = (
    _projection("no projection", PROJECTION_FILE, None),
    _projection("text for a projection", PROJECTION_FILE, b"a projection"),
    _projection(
        "a projection without its weight", PROJECTION_FILE, b"\x02\x00\x00\x00\x00\x00\x00\x00{}"
    ),
)
ROWS = (*DAMAGED, *SHARDS, *SPECIAL, *PLACES, *PROJECTIONS)
