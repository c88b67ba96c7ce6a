"""Folders that should hold a tokenizer, and stages that should go on from their last checkpoint."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.checkpoint import latest_checkpoint
from muse_core.training.loop import train_stage
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
from torture.workspace import KEPT, STAGE, planted_stage

AGAIN, SAME, OTHER, FOLDER = (
    "run the stage that made it again",
    "the same model",
    "another model",
    "give a folder",
)


def _tokenizer(damage: Callable[[Path], Any]) -> Callable[[Desk], Any]:
    return lambda desk: damage(copied(desk.workspace.tokenizer, desk.folder / "tokenizer"))


def _config(**changes: Any) -> Callable[[Desk], Any]:
    return _tokenizer(
        lambda at: edit_json(at / "config.json", lambda content: content.update(changes))
    )


def _written(name: str, content: bytes) -> Callable[[Desk], Any]:
    return _tokenizer(lambda at: (at / name).write_bytes(content))


def _pickled(name: str) -> Callable[[Desk], Any]:
    return lambda desk: only_pickle(
        copied(desk.workspace.tokenizer, desk.folder / "tokenizer"),
        name,
        desk.workspace.root / "executed",
    )


WEIGHTS = "diffusion_pytorch_model.safetensors"
TOKENIZERS = tuple(
    BadInput(
        f"tokenizer: {name}",
        f"loads a tokenizer with {name}",
        names,
        fix,
        lambda desk: MuseTokenizer.from_pretrained(desk.folder / "tokenizer"),
        arrange,
    )
    for name, names, fix, arrange in (
        ("no folder", "tokenizer", FOLDER, lambda desk: None),
        (
            "a file for a folder",
            "tokenizer",
            FOLDER,
            lambda desk: (desk.folder / "tokenizer").write_text("a"),
        ),
        (
            "nothing in its folder",
            "config.json",
            AGAIN,
            lambda desk: (desk.folder / "tokenizer").mkdir(),
        ),
        (
            "no config.json",
            "config.json",
            AGAIN,
            _tokenizer(lambda at: (at / "config.json").unlink()),
        ),
        (
            "a config.json cut short",
            "config.json",
            AGAIN,
            _tokenizer(lambda at: cut(at / "config.json")),
        ),
        ("an empty config.json", "config.json", AGAIN, _written("config.json", b"")),
        ("a config.json of bytes", "config.json", AGAIN, _written("config.json", b"\xff\xfe\x00{")),
        ("a list for a config.json", "config.json", AGAIN, _written("config.json", b"[1, 2]")),
        (
            "an object of nothing for a config.json",
            "config.json",
            AGAIN,
            _written("config.json", b"{}"),
        ),
        (
            "the configuration of a DC-AE",
            "AutoencoderDC",
            AGAIN,
            _config(_class_name="AutoencoderDC"),
        ),
        ("an unknown routing", "sideways", "choose one of", _config(routing="sideways")),
        ("an unknown attention", "linear-ish", "choose one of", _config(attention="linear-ish")),
        ("a width that its heads do not divide", "90", "a multiple of", _config(width=90)),
        ("a width in words", "tokenizer", AGAIN, _config(width="wide")),
        ("no heads", "tokenizer", AGAIN, _config(num_heads=0)),
        (
            "less than no blocks",
            "holds",
            "its config.json has no place for",
            _config(num_blocks=-1),
        ),
        ("another width", "shape", SAME, _config(embedding_width=7)),
        ("one block more", "lacks", OTHER, _config(num_blocks=7)),
        ("one block fewer", "holds", "its config.json has no place for", _config(num_blocks=5)),
        ("no backbone's configuration", "tokenizer", AGAIN, _config(backbone_config=None)),
        (
            "a decoder of another kind",
            "tokenizer",
            AGAIN,
            _config(decoder_config={"latent_channels": "many"}),
        ),
        ("no weights", "safetensors", AGAIN, _tokenizer(lambda at: weights_of(at).unlink())),
        ("weights cut short", "tokenizer", AGAIN, _tokenizer(lambda at: cut(weights_of(at)))),
        (
            "weights cut in their header",
            "tokenizer",
            AGAIN,
            _tokenizer(lambda at: cut(weights_of(at), 0.0001)),
        ),
        ("empty weights", "tokenizer", AGAIN, _written(WEIGHTS, b"")),
        (
            "text for weights",
            "tokenizer",
            AGAIN,
            _written(WEIGHTS, b"the weights are on the other disk"),
        ),
        (
            "a header that promises petabytes",
            "tokenizer",
            AGAIN,
            _written(WEIGHTS, b"\xff" * 7 + b"\x7f{"),
        ),
        (
            "a weight too few",
            "lacks 1 weight",
            OTHER,
            _tokenizer(lambda at: edit_weights(at, lose_first)),
        ),
        (
            "a weight of another shape",
            "shape",
            SAME,
            _tokenizer(lambda at: edit_weights(at, widen_first)),
        ),
        (
            "a weight that is not a number",
            "not finite",
            "another copy",
            _tokenizer(lambda at: edit_weights(at, not_a_number)),
        ),
        (
            "a pickle for weights",
            "diffusion_pytorch_model.bin",
            "safetensors",
            _pickled("diffusion_pytorch_model.bin"),
        ),
        ("a pickle of another name", "weights.ckpt", "safetensors", _pickled("weights.ckpt")),
        ("a pickle called safetensors", "tokenizer", AGAIN, _pickled(WEIGHTS)),
    )
)


def _run(name: str, damage: Callable[[Path], Any]) -> Callable[[Desk], Any]:
    """A copy of the planted run, with its checkpoints damaged."""

    def arrange(_: Desk) -> None:
        target = paths.run_folder(name)
        shutil.copytree(paths.run_folder(KEPT), target, dirs_exist_ok=True)
        damage(next((target / STAGE / "checkpoints").glob("step-*")))

    return arrange


def _latest(name: str) -> Callable[[Desk], Any]:
    return lambda desk: latest_checkpoint(planted_stage(name, resume=True).checkpoints)


CHECKPOINTS = tuple(
    BadInput(
        f"checkpoint: {words}",
        f"resumes from a checkpoint with {words}",
        "step-00000002",
        "run again without resume",
        _latest(name),
        _run(name, damage),
    )
    for name, words, damage in (
        ("cut-state", "a state.json cut short", lambda at: cut(at / "state.json")),
        ("no-state", "no state.json", lambda at: (at / "state.json").unlink()),
        (
            "list-state",
            "a state.json that is a list",
            lambda at: (at / "state.json").write_text("[]"),
        ),
        (
            "binary-state",
            "a state.json of bytes",
            lambda at: (at / "state.json").write_bytes(b"\xff\xfe"),
        ),
        (
            "no-digests",
            "a state.json without digests",
            lambda at: edit_json(at / "state.json", lambda c: c.pop("sha256")),
        ),
        ("cut-tensors", "tensors cut short", lambda at: cut(at / "training.safetensors")),
        ("no-tensors", "no tensors", lambda at: (at / "training.safetensors").unlink()),
        ("cut-network", "a network cut short", lambda at: cut(weights_of(at / "tokenizer"))),
        ("more-files", "a file that nobody wrote", lambda at: (at / "extra.bin").write_bytes(b"1")),
    )
)

OTHERS = tuple(
    BadInput(
        f"resume: {parameter}",
        f"resumes with another {parameter}",
        parameter,
        "use the same ones",
        lambda desk, changes=changes: train_stage(planted_stage(resume=True, **changes)),
    )
    for parameter, changes in (("seed", {"seed": 5}), ("routing", {"routing": "shared"}))
)
ROWS = (*TOKENIZERS, *CHECKPOINTS, *OTHERS)
