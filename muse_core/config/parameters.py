"""Checks the values of a notebook's parameters cell; papermill itself checks nothing."""

import difflib
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from muse_core import paths
from muse_core.config.overrides import (
    PARTS,
    SHORTHANDS,
    absolute_path,
    load_preset,
    shorthand,
    with_absolute_paths,
)
from muse_core.config.preset import Preset
from muse_core.config.system_stages import AS_THEY_ARE, SYSTEM_NAMES
from muse_core.errors import MuseError, shown

_WORDS = {
    "int_parsing": "an integer",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
}


def _integer_text(value: object) -> object:
    """Let "1e3" be the integer 1000, as the number 1e3 already is."""
    try:
        return int(float(value)) if isinstance(value, str) and float(value).is_integer() else value
    except ValueError:
        return value


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value")
    return value


Whole = Annotated[int, BeforeValidator(_integer_text), BeforeValidator(_no_truth_value)]
"""An integer; "1e3" counts, true and false do not."""


def _zero_is_none(value: int | None, most: int) -> int | None:
    if value is not None and not 0 <= value <= most:
        raise ValueError("negative, or too much")
    return value or None


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text.strip()


MOST = 10**9
"""Of anything that is counted; more is a slip of the keyboard."""
MOST_PIXELS, MOST_JOBS = 4096, 1024
LARGEST_SEED = 2**32 - 1
"""What every library here takes as a seed."""


_POSITIVE = "a positive integer of at most {:,}, or 0 or None for what the preset says"
Count = Annotated[
    Whole | None,
    AfterValidator(partial(_zero_is_none, most=MOST)),
    Field(description=_POSITIVE.format(MOST)),
]
Pixels = Annotated[
    Whole | None,
    AfterValidator(partial(_zero_is_none, most=MOST_PIXELS)),
    Field(description=_POSITIVE.format(MOST_PIXELS)),
]
"""None, also written 0, lets the preset or the recipe decide."""

Seed = Annotated[
    Whole,
    Field(
        ge=0, le=LARGEST_SEED, description=f"zero or a positive integer of at most {LARGEST_SEED}"
    ),
]
RunName = Annotated[str, AfterValidator(paths.check_run_name)]
RunNameOrNone = Annotated[
    str, AfterValidator(lambda text: paths.check_run_name(text) if text.strip() else "")
]
"""A run's name, or nothing."""

Filled = Annotated[str, AfterValidator(_filled)]
"""A text that is not empty."""


Checked = TypeVar("Checked", bound=BaseModel)


class NotebookParameters(BaseModel):
    """Base of a notebook's parameters: unknown names are refused, "1e-4" and "false" become what
    they mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def check(cls: type[Checked], **values: Any) -> Checked:
        """The validated parameters.

        Args:
            values: By name. Where the notebook has ``overrides``, the name of an overridable field
                ("steps", "routing", "teacher", ...) counts as one.

        Raises:
            MuseError: One sentence about the first wrong value.
        """
        try:
            return cls(**_shorthands_as_overrides(cls, placed(values)))
        except ValidationError as error:
            raise MuseError(_sentence(cls, error)) from None


def placed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters whose relative paths mean this process's folder, with absolute ones instead."""
    return {
        name: _PLACES[name](value) if name in _PLACES and isinstance(value, str) else value
        for name, value in values.items()
    }


def _file(text: str) -> str:
    """A file by its path; a name without a suffix is that of a preset or study of ours."""
    return absolute_path(text) if "." in text else text


def _system(text: str) -> str:
    """``FILE.py:Class`` of the user's; any other text is a name."""
    place, colon, name = text.rpartition(":")
    return f"{absolute_path(place)}:{name}" if colon and place.endswith(".py") else text


def _images(text: str) -> str:
    """One file, or names of files with commas between."""
    whole = _file(text)
    return whole if whole != text else ", ".join(_file(word.strip()) for word in text.split(","))


_PLACES: dict[str, Callable[[str], str]] = {
    "data": paths.absolute_spec,
    "image": _images,
    "preset": _file,
    "study": _file,
    "system": _system,
    "overrides": with_absolute_paths,
    **dict.fromkeys((*PARTS, "accelerate_config"), absolute_path),
}
"""Parameter -> its text with absolute paths."""


def _shorthands_as_overrides(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Zero, None and "" stand for what the preset says."""
    if "overrides" not in model.model_fields:
        return values
    known = {name: value for name, value in values.items() if name in model.model_fields}
    if not isinstance(known.get("overrides", ""), str):
        return values
    words = [known.get("overrides", "")]
    for name, value in values.items():
        path = shorthand(name) if name not in known else None
        if name not in known and path is None:
            known[name] = value
        elif path is not None and value not in (None, "", 0, False):
            words.append(shlex.quote(f"{path}={value}"))
    return known | {"overrides": " ".join(word for word in words if word)}


class Configured(NotebookParameters):
    """What every notebook asks for that opens a preset."""

    run: RunName
    preset: Filled
    overrides: str = ""
    device: Filled = "auto"

    def load_preset(self, stage: str | None = None) -> Preset:
        """The preset with the overrides. Raises MuseError for an unknown name."""
        return load_preset(self.preset, self.overrides, stage)


class StageParameters(Configured):
    """What notebooks 01 to 03 ask for."""

    data: Filled
    seed: Seed
    resume: bool
    processes: Annotated[Whole, Field(ge=1, description="an integer of at least 1")] = 1
    fresh: bool = False


Split = Annotated[
    Literal["val", "test", "verdict"],
    Field(description="val to choose between designs, test, or verdict: scenes that no choice saw"),
]


class StudyRunParameters(Configured):
    """What ``studies/one_run`` asks for: a whole curriculum, and how it is measured."""

    data: Filled
    split: Split = "test"
    seed: Seed
    geometry_every: Annotated[Whole, Field(ge=0, description="a number of steps, or 0 for never")]
    fresh: bool = False


def _known_system(text: str) -> str:
    place, colon, name = text.strip().rpartition(":")
    if not colon and text.strip() not in (*SYSTEM_NAMES, *AS_THEY_ARE):
        raise ValueError("unknown")
    if colon and (not place or not name or (place.endswith(".py") and not Path(place).is_file())):
        raise ValueError("no file")
    return text.strip()


SystemName = Annotated[
    str,
    AfterValidator(_known_system),
    Field(
        description=f"one of {', '.join((*SYSTEM_NAMES, *AS_THEY_ARE))}, or your own as "
        "FILE.py:Class with a file that is there"
    ),
]


class SystemParameters(Configured):
    """What ``studies/one_system`` asks for: a row of Table 1, and how it is measured."""

    system: SystemName
    data: Filled
    split: Split = "test"
    seed: Seed
    learning_rate: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="a rate, or 0 for the preset's")
    ] = 0.0
    generator_seed: Seed = 0
    denoiser_steps: Annotated[
        Whole, Field(ge=0, le=MOST, description="a number of steps, or 0 for no generator")
    ]
    fresh: bool = False


NO_NETWORK = ("words", "chance")
"""Rows of the language side that look at no image: the ceiling, and what needs no look."""


def _known_or(others: tuple[str, ...], text: str) -> str:
    return text.strip() if text.strip() in others else _known_system(text)


def _row_names(others: tuple[str, ...]) -> str:
    names = ", ".join((*AS_THEY_ARE, *SYSTEM_NAMES, *others))
    return f"one of {names}, or your own as FILE.py:Class with a file that is there"


NO_DRAWER = ("scenes",)
"""Rows of what is drawn that draw nothing: scenes that are what was asked for."""


Reader = Annotated[
    str, AfterValidator(partial(_known_or, NO_NETWORK)), Field(description=_row_names(NO_NETWORK))
]
Drawer = Annotated[
    str, AfterValidator(partial(_known_or, NO_DRAWER)), Field(description=_row_names(NO_DRAWER))
]


class LanguageParameters(Configured):
    """What ``studies/one_language`` asks for: whose tokens a language model reads."""

    system: Reader
    split: Split = "test"
    seed: Seed
    pairs: Annotated[Whole, Field(ge=1, le=MOST, description="a number of pairs, at least 1")]
    fresh: bool = False


class DrawingParameters(Configured):
    """What ``studies/one_drawing`` asks for: on whose latent a language model draws."""

    system: Drawer
    split: Split = "test"
    seed: Seed
    prompts: Annotated[Whole, Field(ge=2, le=MOST, description="a number of prompts, at least 2")]
    fresh: bool = False


class StudyParameters(NotebookParameters):
    """What notebooks 06, 07 and 09 ask for: a study's file, or the name of one in ``studies/``."""

    run: RunName
    study: Filled
    jobs: Annotated[
        Whole,
        Field(
            ge=0,
            le=MOST_JOBS,
            description=f"how many runs at a time, at most {MOST_JOBS}, or 0 for one a core",
        ),
    ]
    device: Filled


class UnifiedParameters(StudyParameters):
    """What notebook 10 asks for: a study of what is answered, and one of what is drawn."""

    drawing: Filled


class EvaluationParameters(Configured):
    """What notebook 05 asks for."""

    data: Filled
    baseline: RunNameOrNone
    seed: Seed
    download: bool


class GenerationParameters(Configured):
    """What notebook 08 asks for; ``tokenizers`` "" is the run itself."""

    data: Filled
    tokenizers: RunNameOrNone
    compare: bool
    guidance: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="a number of at least 0; 1 means none")
    ]
    seed: Seed
    resume: bool
    download: bool = False
    processes: Annotated[Whole, Field(ge=1, description="an integer of at least 1")] = 1
    fresh: bool = False


class TopologyParameters(Configured):
    """What notebook 04 asks for; empty texts mean no image of one's own, and ``RUN-shared``."""

    data: Filled
    images: Annotated[Whole, Field(ge=0, le=64, description="an integer from 0 to 64")]
    image: str
    fit: Literal["crop", "pad"] = Field(description="crop or pad")
    resolution: Pixels
    baseline: RunNameOrNone


class CompareParameters(Configured):
    """What the notebook of two runs asks for."""

    a: RunName
    b: RunName
    data: Filled
    images: Annotated[Whole, Field(ge=1, le=64, description="an integer from 1 to 64")]
    seed: Seed


class FoundationParameters(NotebookParameters):
    """What notebook 00 asks for; ``steps`` is None when each recipe decides."""

    run: RunName
    preset: Filled
    train: bool
    self_distillation: bool
    steps: Count
    seed: Seed
    images: Annotated[Whole, Field(ge=2, description="an integer of at least 2")]


PARAMETERS: dict[str, type[NotebookParameters]] = {
    "00_foundations": FoundationParameters,
    "01_topology_warmup": StageParameters,
    "02_semantic_injection": StageParameters,
    "03_synergistic_tuning": StageParameters,
    "04_attention_topology": TopologyParameters,
    "05_evaluation": EvaluationParameters,
    "06_gradient_orthogonality": StudyParameters,
    "07_ablations": StudyParameters,
    "08_generation": GenerationParameters,
    "09_table_one": StudyParameters,
    "10_unified": UnifiedParameters,
    "one_run": StudyRunParameters,
    "one_system": SystemParameters,
    "one_language": LanguageParameters,
    "one_drawing": DrawingParameters,
    "two_runs": CompareParameters,
}
"""A notebook's name -> its parameters."""


def _sentence(model: type[BaseModel], error: ValidationError) -> str:
    """The first of pydantic's complaints as one sentence that names the parameter and the value."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "the parameters"
    if first["type"] == "extra_forbidden":
        known = list(model.model_fields)
        close = difflib.get_close_matches(name, [*known, *SHORTHANDS], n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        return f"There is no parameter {shown(name)}{meant}: the parameters are {', '.join(known)}."
    if first["type"] == "missing":
        return f"The parameter {name!r} has no value: set it in the parameters cell."
    return f"{name} must be {_expected(model, name, first)}: got {shown(first['input'])}."


def _expected(model: type[BaseModel], name: str, complaint: Any) -> str:
    field = model.model_fields.get(name)
    if field is not None and field.description:
        return field.description
    if complaint["type"] == "value_error":
        return "a text that is not empty"
    said: str = complaint["msg"]
    return _WORDS.get(complaint["type"], said[:1].lower() + said[1:])
