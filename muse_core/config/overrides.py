"""Any field of a preset, changed by its path: ``"02.weights.topology=2 connector.num_blocks=4"``.

| path | what it changes |
|---|---|
| ``image_size``, ``routing``, ``held_out_images``, ... | a field of the preset |
| ``connector.num_blocks`` | a size of the connector |
| ``foundations.teacher``, also ``teacher`` alone | a pretrained part: a folder or a hub id |
| ``stage.steps``, ``weights.topology`` | the notebook's own stage; without one, every stage |
| ``shares.perceptual`` | the same: the share of a step's images that a loss sees |
| ``02.stage.steps``, ``02.weights.anchor`` | the stage of that number |
| ``curriculum.order``, ``without``, ``anchoring``, ``surgery``, ``share`` | the whole curriculum |
"""

import difflib
import math
import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from muse_core import paths
from muse_core.config.curriculum import Changes, changed, shortened
from muse_core.config.preset import Preset
from muse_core.config.presets import preset_named
from muse_core.config.safe_yaml import Unreadable, read_yaml
from muse_core.config.stage import (
    Curriculum,
    DrawingStage,
    GenerationStage,
    LanguageStage,
    Loss,
    PartOfAStep,
    Stage,
)
from muse_core.errors import MuseError, shown, unknown

STAGE_FIELDS = ("steps", "batch_size", "learning_rate", "bad_steps")
PARTS = ("backbone", "teacher", "autoencoder", "text_tower")
SHORTHANDS = {
    **{name: f"stage.{name}" for name in STAGE_FIELDS},
    **{name: f"foundations.{name}" for name in PARTS},
    **{name: name for name in ("routing", "trackers", "accelerate_config", "image_size")},
    **{
        name: f"curriculum.{name}" for name in ("order", "without", "anchoring", "surgery", "share")
    },
    "images": "08.stage.images",
    "denoiser": "08.stage.denoiser",
    "train_images": "probe_images",
    "test_images": "held_out_images",
    "drawn": "generated_images",
    "sampling_steps": "sampling_steps",
}
"""Words that stand for a path where a value is given by name: ``-p steps 200``."""

SMOKE_VARIABLE = "MUSE_SMOKE_PRESET"
"""A preset file that stands for ``smoke``: what the notebooks' cells are tested with."""

BY_LOSS = ("weights", "shares")
"""Fields of a stage that hold a number for each loss."""

MODEL_FIELDS = ("image_size", "routing", "connector", "foundations")
"""What belongs to a run and not to a stage: its first stage fixes them."""


def shorthand(name: str) -> str | None:
    """The path that a word stands for, "stage.steps" for "steps"; None for any other word."""
    return SHORTHANDS.get(name)


def load_preset(name: str, overrides: str = "", stage: str | None = None) -> Preset:
    """A preset by name or YAML file, with overrides.

    Args:
        name: "tiny", "smoke", "muse-small", "muse-1b", "muse-3b", "muse-release", or the path of a
            YAML file that says ``extends: tiny`` and what differs.
        overrides: ``path=value`` pairs with spaces between them (see the module's table).
        stage: The stage that ``stage.`` and ``weights.`` mean; None for every stage.

    Raises:
        MuseError: A name, path or value that stands for nothing, with the nearest that does.
    """
    preset = apply(_base(name), parse(overrides), stage)
    heard = (each for each in preset.curriculum.stages if stage in (None, each.name))
    if not preset.connector.num_blocks and any(each.weights.get(Loss.TOPOLOGY) for each in heard):
        raise MuseError(
            "connector.num_blocks=0 leaves L_topo no attention to align: add weights.topology=0, "
            "or keep one block at least."
        )
    return preset


def parse(overrides: str) -> dict[str, str]:
    """``"a=1 b.c=2"`` -> {"a": "1", "b.c": "2"}. Raises MuseError for a pair without "="."""
    try:
        words = shlex.split(overrides)
    except ValueError as error:
        raise MuseError(
            f"The overrides {shown(overrides)} end inside a quotation: close it."
        ) from error
    pairs = [word.partition("=") for word in words]
    for path, sign, _ in pairs:
        if not (path and sign):
            raise MuseError(
                f"The override {shown(path)} has no value: write path=value, with spaces only "
                "between pairs."
            )
    return {path: value for path, _, value in pairs}


def with_absolute_paths(overrides: str) -> str:
    """The overrides, with the folders and files that they name as absolute paths."""
    pairs = [
        f"{path}={absolute_path(value) if _names_place(path) else value}"
        for path, value in parse(overrides).items()
    ]
    return " ".join(map(shlex.quote, pairs))


def absolute_path(text: str) -> str:
    """Where a folder or file is that is there; any other text, a hub id for example, stays."""
    path = paths.user_path(text) if text.strip() else None
    return str(path) if path and path.exists() else text


def _names_place(path: str) -> bool:
    return path.rpartition(".")[2] in (*PARTS, "accelerate_config")


def apply(preset: Preset, pairs: Mapping[str, Any], stage: str | None = None) -> Preset:
    """The preset with these paths changed. Raises MuseError as `load_preset`."""
    if stage not in {each.name for each in preset.stages}:
        stage = None
    whole = {path: value for path, value in pairs.items() if path.startswith("curriculum.")}
    preset = _with_curriculum(preset, whole)
    own = [path for path in pairs if path not in whole]
    # Another teacher brings layers and size of its own; what is said of those comes after it.
    for path in sorted(own, key=lambda path: not path.endswith("teacher")):
        preset = _with(preset, path, pairs[path], stage)
    return preset


def _base(name: str, before: tuple[str, ...] = ()) -> Preset:
    """The preset that a name or file stands for; ``before``: the files that extend it."""
    if name == "smoke":
        name = os.environ.get(SMOKE_VARIABLE, name)
    if not name.endswith((".yaml", ".yml")):
        return preset_named(name)
    file = paths.user_path(name)
    if str(file) in before:
        raise MuseError(f"The preset file {file} extends itself: let one of the files extend tiny.")
    try:
        said = read_yaml(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        raise MuseError(f"The preset file {file} cannot be read ({error}): mend it.") from error
    if not isinstance(said, dict) or not isinstance(said.get("extends"), str):
        raise MuseError(f"The preset file {file} must say which preset it changes: extends: tiny.")
    extends = said.pop("extends")
    base = file.parent / extends if extends.endswith((".yaml", ".yml")) else extends
    pairs = {path: _beside(file, path, value) for path, value in _flat(said)}
    preset = apply(_base(str(base), (*before, str(file))), pairs)
    return replace(preset, name=file.stem)


def _beside(file: Path, path: str, value: Any) -> Any:
    """What a preset file names is first sought in its own folder."""
    named = isinstance(value, str) and _names_place(path) and (file.parent / value).exists()
    return str(file.parent / value) if named else value


def _flat(said: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as paths with dots."""
    for key, value in said.items():
        path = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        else:
            yield path, value


def _with(preset: Preset, path: str, value: Any, stage: str | None) -> Preset:
    first, _, rest = path.partition(".")
    if re.fullmatch(r"\d\d[a-z]?(_\w+)?", first):
        return _with_stage(preset, preset.stage(first).name, rest, path, value)
    if first in ("stage", *BY_LOSS):
        names = [stage] if stage else [each.name for each in preset.curriculum]
        for name in names:
            preset = _with_stage(preset, name, path, path, value)
        return preset
    if first in PARTS:
        first, rest = "foundations", path
    if first == "foundations":
        return _with_part(preset, rest, path, value)
    held = getattr(preset, first, None)
    if is_dataclass(held) and not isinstance(held, Curriculum) and rest:
        return replace(preset, **{first: _changed(held, rest, path, value)})
    if rest or first in ("name", "curriculum") or is_dataclass(held):
        raise _no_such(path, preset)
    return _changed(preset, first, path, value)


def _with_part(preset: Preset, part: str, path: str, value: Any) -> Preset:
    """Another teacher teaches one layer a block, spread over its depth, at its own size."""
    found = _changed(preset.foundations, part, path, value)
    if part in PARTS:
        folder = paths.user_path(str(value))
        found = replace(found, **{part: str(folder) if folder.is_dir() else str(value)})
    if part == "teacher":
        found = replace(found, teacher_layers=None, teacher_image_size=None)
    return replace(preset, foundations=found)


def _with_stage(preset: Preset, name: str, rest: str, path: str, value: Any) -> Preset:
    kind, _, field = rest.partition(".")
    stage = preset.stage(name)
    if kind in BY_LOSS and isinstance(stage, Stage):
        with_number = _with_weight if kind == "weights" else _with_share
        stage = with_number(stage, _loss(field), path, value)
    elif kind == "stage" and field not in ("name", "notebook", *BY_LOSS):
        stage = _changed(stage, field, path, value)
    else:
        raise _no_such(path, preset)
    if isinstance(stage, GenerationStage):
        return replace(preset, generation=stage)
    if isinstance(stage, LanguageStage):
        return replace(preset, language=stage)
    if isinstance(stage, DrawingStage):
        drawing = (stage if each.name == stage.name else each for each in preset.drawing)
        return replace(preset, drawing=tuple(drawing))
    stages = tuple(stage if each.name == stage.name else each for each in preset.curriculum)
    return replace(preset, curriculum=Curriculum(stages))


def _loss(name: str) -> Loss:
    if name not in tuple(Loss):
        raise MuseError(f"There is no loss {shown(name)}{_closest(name, list(Loss))}.")
    return Loss(name)


def _with_weight(stage: Stage, loss: Loss, path: str, value: Any) -> Stage:
    """A weight of 0 takes the loss out of the stage."""
    number = _checked(float, path, value)
    if number < 0:
        raise MuseError(f"{path} must not be negative: got {shown(value)}; 0 leaves the loss out.")
    weights = {**stage.weights, loss: number}
    kept = {name: weight for name, weight in weights.items() if weight}
    return replace(stage, weights=MappingProxyType(kept))


def _with_share(stage: Stage, loss: Loss, path: str, value: Any) -> Stage:
    """A share of 1 means all images, and is left out."""
    shares = {**stage.shares, loss: _checked(PartOfAStep, path, value)}
    part = {name: share for name, share in shares.items() if share < 1}
    return replace(stage, shares=MappingProxyType(part))


def _with_curriculum(preset: Preset, pairs: Mapping[str, Any]) -> Preset:
    given = {path.partition(".")[2]: value for path, value in pairs.items()}
    known = [field.name for field in fields(Changes)]
    for name in given:
        if name not in (*known, "share"):
            raise unknown("change of the curriculum", name, (*known, "share"))
    share = _checked(float, "curriculum.share", given.pop("share", 1.0))
    curriculum = changed(preset.curriculum, Changes(**{k: str(v) for k, v in given.items()}))
    return replace(preset, curriculum=shortened(curriculum, share))


def _changed(held: Any, name: str, path: str, value: Any) -> Any:
    kinds = get_type_hints(type(held), include_extras=True)
    if name not in kinds:
        close = [_written(path, name, each) for each in kinds]
        raise MuseError(f"There is no field {shown(path)}{_closest(path, close)}.")
    return replace(held, **{name: _checked(kinds[name], path, value)})


def _written(path: str, name: str, other: str) -> str:
    return path.removesuffix(name) + other


def _checked(kind: Any, path: str, value: Any) -> Any:
    """The value as the field's type. Raises MuseError for one that is none."""
    given = _from_text(value, kind) if isinstance(value, str) else value
    try:
        found = TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise MuseError(f"{path} cannot be {shown(value)}: {said[:1].lower()}{said[1:]}.") from None
    if isinstance(found, float) and not math.isfinite(found):
        raise MuseError(f"{path} cannot be {shown(value)}: give a finite number.")
    return found


def _from_text(value: str, kind: Any) -> Any:
    """Lists are written with commas; "none" is None where the field may be None; 1e3 is 1000."""
    text = str(kind)
    if "None" in text and value.lower() in ("none", "null", ""):
        return None
    if "frozenset" in text or "tuple" in text:
        return [word for word in re.split(r"[,\s]+", value) if word]
    if "int" in text:
        try:
            return int(float(value)) if float(value).is_integer() else value
        except (ValueError, OverflowError):
            return value
    return value


def _no_such(path: str, preset: Preset) -> MuseError:
    known = [field.name for field in fields(preset)]
    known += [f"connector.{field.name}" for field in fields(preset.connector)]
    of_stage = [f"stage.{field.name}" for field in fields(Stage) if field.name not in BY_LOSS]
    of_stage += [f"{field}.{loss}" for field in BY_LOSS for loss in Loss]
    number = re.match(r"\d\d\w*\.", path)
    known += [f"{number[0]}{each}" for each in of_stage] if number else of_stage
    return MuseError(f"There is no field {shown(path)} in a preset{_closest(path, known)}.")


def _closest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, [str(each) for each in known], n=1)
    return f" (did you mean {close[0]}?)" if close else f": choose one of {', '.join(known)}"


def inherited(
    preset: Preset,
    recorded: Mapping[str, Any],
    named: str,
    given: set[str],
    changeable: Collection[str] = (),
) -> Preset:
    """The preset with the model of the run's first stage.

    Args:
        preset: As this stage's parameters resolve.
        recorded: The first stage's record: its ``model`` holds `MODEL_FIELDS` as resolved then, its
            ``base`` the same without overrides.
        named: The preset's name or file as this stage gives it.
        given: The paths of the model that this stage overrides, "connector.num_blocks".
        changeable: Paths of the model that may differ from the run's, where they are given.

    Raises:
        MuseError: This stage asks for another model than the run has.
    """
    if not recorded.get("model"):
        return preset
    model = model_of(preset)
    own = {name: model[name] for name in changeable} if given & set(changeable) else {}
    plain = {key: _plain(value) for key, value in model_of(_base(named)).items()}
    origin = {key: _plain(value) for key, value in recorded.get("base", {}).items()}
    for name, value in model.items():
        # A record that is older than a field says nothing of it.
        before = recorded["model"].get(name, value)
        asked = name in given or plain[name] != origin.get(name)
        if asked and name not in own and _plain(value) != _plain(before):
            raise MuseError(
                f"Run {recorded.get('run')!r} was begun with {name}={shown(before)}, and these "
                f"parameters say {shown(value)}: use another run name, or the same parameters."
            )
    return with_model(preset, recorded["model"] | own)


def model_of(preset: Preset) -> dict[str, Any]:
    """path -> value, of every field that belongs to the run (`MODEL_FIELDS`); a folder within the
    workspace, or shipped with it, is written from there, so that a workspace may move.
    """
    found: dict[str, Any] = {}
    for name in MODEL_FIELDS:
        held = getattr(preset, name)
        if is_dataclass(held) and not isinstance(held, type):
            found |= {f"{name}.{field.name}": getattr(held, field.name) for field in fields(held)}
        else:
            found[name] = held
    return found | {
        name: _from_home(value) for name, value in found.items() if isinstance(value, str)
    }


def _from_home(text: str) -> str:
    for home in paths.homes():
        text = text.removeprefix(f"{home}{os.sep}")
    return text


def with_model(preset: Preset, model: Mapping[str, Any]) -> Preset:
    """The inverse of `model_of`."""
    for path, value in model.items():
        first, _, rest = path.partition(".")
        held = getattr(preset, first)
        value = tuple(value) if isinstance(value, list) else value
        if rest in PARTS and value:
            places = (home / str(value) for home in paths.homes())
            value = next((str(place) for place in places if place.is_dir()), value)
        preset = replace(preset, **{first: replace(held, **{rest: value}) if rest else value})
    return preset


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
