"""What is asked of a generation pipeline, and folders that should hold one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from muse_core.generation.editing import edit
from muse_core.generation.pipeline import MusePipeline, require_same_tokenizer
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

AGAIN, COPY, PROMPT = "notebook 08", "copy or download it again", "a red star"
INDEX = "model_index.json"


def _drawn(prompt: Any = PROMPT, **options: Any) -> Callable[[Desk], Any]:
    return lambda desk: desk.workspace.pipeline(prompt, **{"num_inference_steps": 1} | options)


CALLS = tuple(
    BadInput(f"pipeline: {name}", f"draws with {name}", names, fix, _drawn(**options))
    for name, options, names, fix in (
        ("an unknown word", {"prompt": "a red hippopotamus"}, "hippopotamus", "its words are"),
        ("a misspelt word", {"prompt": "a rde star"}, "did you mean 'red'", "its words are"),
        ("HTML for a prompt", {"prompt": "<script>"}, "script", "its words are"),
        ("no prompt in the list", {"prompt": []}, "nothing to draw", "at least one prompt"),
        (
            "no images a prompt",
            {"num_images_per_prompt": 0},
            "nothing to draw",
            "one image for each",
        ),
        ("guidance below zero", {"guidance_scale": -2.0}, "-2.0", "0 or more"),
        ("guidance that is no number", {"guidance_scale": float("nan")}, "nan", "0 or more"),
        ("guidance without end", {"guidance_scale": float("inf")}, "inf", "0 or more"),
        ("no steps", {"num_inference_steps": 0}, "0", "at least 1"),
        ("a million steps", {"num_inference_steps": 10**6}, "1000000", "at most"),
        (
            "latents of another shape",
            {"latents": torch.zeros(1, 3, 2, 2)},
            "(1, 3, 2, 2)",
            "give latents",
        ),
        (
            "too few latents",
            {"prompt": [PROMPT] * 2, "latents": torch.zeros(1, 3, 2, 2)},
            "2",
            "give latents",
        ),
        ("an unknown kind of output", {"output_type": "jpeg"}, "jpeg", "choose one of"),
        (
            "too few generators",
            {"prompt": [PROMPT] * 3, "generator": [torch.Generator()] * 2},
            "2 generators",
            "one for each",
        ),
    )
)


def _edited(images: int = 1, **options: Any) -> Callable[[Desk], Any]:
    def act(desk: Desk) -> Any:
        side = desk.workspace.pipeline.vae.config.image_size
        given = {"prompts": [PROMPT] * images, "num_inference_steps": 1} | options
        return edit(desk.workspace.pipeline, torch.rand(images, 3, side, side), **given)

    return act


EDITS = tuple(
    BadInput(f"edit: {name}", f"edits with {name}", names, fix, _edited(**options))
    for name, options, names, fix in (
        ("strength zero", {"strength": 0.0}, "0.0", "at most 1"),
        ("strength above one", {"strength": 1.5}, "1.5", "at most 1"),
        ("strength that is no number", {"strength": float("nan")}, "nan", "at most 1"),
        (
            "a mask of another size",
            {"mask": torch.ones(1, 8, 8, dtype=torch.bool)},
            "(1, 8, 8)",
            "resize it",
        ),
        (
            "two prompts for one image",
            {"prompts": [PROMPT] * 2},
            "2 prompts",
            "one prompt for each",
        ),
        (
            "no prompt for two images",
            {"images": 2, "prompts": []},
            "0 prompts",
            "one prompt for each",
        ),
        ("an unknown word", {"prompts": ["a red walrus"]}, "walrus", "its words are"),
        ("no steps", {"num_inference_steps": 0}, "0", "at least 1"),
    )
)


def _copy(damage: Callable[[Path], Any]) -> Callable[[Desk], Any]:
    return lambda desk: damage(copied(desk.workspace.pipeline_folder, desk.folder / "pipeline"))


def _loaded(desk: Desk) -> Any:
    return MusePipeline.from_pretrained(desk.folder / "pipeline")


def _index(**changes: Any) -> Callable[[Desk], Any]:
    return _copy(lambda at: edit_json(at / INDEX, lambda content: content.update(changes)))


def _pickled(part: str, name: str = "diffusion_pytorch_model.bin") -> Callable[[Desk], Any]:
    def arrange(desk: Desk) -> None:
        folder = copied(desk.workspace.pipeline_folder, desk.folder / "pipeline")
        only_pickle(folder / part, name, desk.workspace.root / "executed")

    return arrange


FOLDERS = tuple(
    BadInput(
        f"pipeline folder: {name}", f"loads a pipeline with {name}", names, fix, _loaded, arrange
    )
    for name, names, fix, arrange in (
        (
            "nothing in it",
            "model_index.json",
            AGAIN,
            lambda desk: (desk.folder / "pipeline").mkdir(),
        ),
        ("no folder at all", "pipeline", AGAIN, lambda desk: None),
        (
            "a file for a folder",
            "pipeline",
            AGAIN,
            lambda desk: (desk.folder / "pipeline").write_text("a"),
        ),
        ("an index cut short", "model_index.json", AGAIN, _copy(lambda at: cut(at / INDEX))),
        (
            "an index that is a list",
            "model_index.json",
            AGAIN,
            _copy(lambda at: (at / INDEX).write_text("[]")),
        ),
        (
            "an index of another pipeline",
            "StableDiffusionPipeline",
            AGAIN,
            _index(_class_name="StableDiffusionPipeline"),
        ),
        ("an index that names code", "transformer", AGAIN, _index(transformer=["os", "system"])),
        ("an index that names a file of code", "vae", AGAIN, _index(vae=["evil", "Tokenizer"])),
        (
            "an index without its tokenizer",
            "vae",
            AGAIN,
            _copy(lambda at: edit_json(at / INDEX, lambda c: c.pop("vae"))),
        ),
        (
            "a denoiser cut short",
            "transformer",
            COPY,
            _copy(lambda at: cut(weights_of(at / "transformer"))),
        ),
        (
            "a denoiser that lacks a weight",
            "transformer",
            "another model",
            _copy(lambda at: edit_weights(at / "transformer", lose_first)),
        ),
        (
            "a denoiser of other shapes",
            "transformer",
            "the same model",
            _copy(lambda at: edit_weights(at / "transformer", widen_first)),
        ),
        (
            "a denoiser of not-a-numbers",
            "transformer",
            "another copy",
            _copy(lambda at: edit_weights(at / "transformer", not_a_number)),
        ),
        (
            "a denoiser without its configuration",
            "transformer",
            COPY,
            _copy(lambda at: (at / "transformer" / "config.json").unlink()),
        ),
        ("a denoiser in a pickle", "transformer", "safetensors", _pickled("transformer")),
        ("a tokenizer in a pickle", "vae", "safetensors", _pickled("vae")),
        (
            "a text tower in a pickle",
            "text_encoder",
            "safetensors",
            _pickled("text_encoder", "pytorch_model.bin"),
        ),
        ("statistics in a pickle", "normalisation", "safetensors", _pickled("normalisation")),
        (
            "statistics of another tokenizer",
            "0123",
            AGAIN,
            _copy(
                lambda at: edit_json(
                    at / "normalisation" / "config.json", lambda c: c.update(tokenizer="0123")
                )
            ),
        ),
        (
            "no statistics",
            "normalisation",
            AGAIN,
            _copy(lambda at: (at / "normalisation" / "config.json").unlink()),
        ),
        (
            "no words of the tokenizer",
            "tokenizer.json",
            AGAIN,
            _copy(lambda at: (at / "tokenizer" / "tokenizer.json").unlink()),
        ),
        (
            "a scheduler cut short",
            "scheduler",
            AGAIN,
            _copy(lambda at: cut(at / "scheduler" / "scheduler_config.json")),
        ),
    )
)

TOKENIZER_MOVED = BadInput(
    "pipeline: the tokenizer was trained further",
    "goes on with a tokenizer that changed",
    "is now",
    "train again",
    lambda desk: require_same_tokenizer(
        desk.workspace.pipeline, torch.nn.Linear(1, 1), "train again with notebook 08"
    ),
)
ROWS = (*CALLS, *EDITS, *FOLDERS, TOKENIZER_MOVED)
