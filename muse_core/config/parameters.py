"""Checks the values of a notebook's parameters cell; papermill itself checks nothing."""

from dataclasses import fields
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from muse_core import paths
from muse_core.config.preset import FoundationChoice, Preset
from muse_core.config.presets import preset_named
from muse_core.config.stage import MOST_SAMPLING_STEPS
from muse_core.errors import MuseError, shown
from muse_core.training.launch import Launch

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
MOST_PIXELS, MOST_JOBS, LONGEST_WATCH = 4096, 1024, 7 * 24 * 3600
LARGEST_SEED = 2**32 - 1
"""What every library here takes as a seed."""


def _count(most: int) -> Any:
    words = f"a positive integer of at most {most:,}, or 0 or None for what the preset says"
    return Annotated[
        Whole | None, AfterValidator(partial(_zero_is_none, most=most)), Field(description=words)
    ]


Count = _count(MOST)
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


def _words_of(text: object) -> object:
    """ "a, b" as two words."""
    return tuple(text.replace(",", " ").split()) if isinstance(text, str) else text


class NotebookParameters(BaseModel):
    """Base of a notebook's parameters: unknown names are refused, "1e-4" and "false" become what
    they mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def check(cls: type[Checked], **values: Any) -> Checked:
        """The validated parameters. Raises MuseError, one sentence about the first wrong value."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise MuseError(_sentence(cls, error)) from None

    validate_all = check


class ChosenFoundations(NotebookParameters):
    """The parameters that put other pretrained parts in the preset's place; "" keeps the preset's."""

    preset: Filled
    backbone: str = ""
    teacher: str = ""
    autoencoder: str = ""
    text_tower: str = ""

    @property
    def foundations(self) -> FoundationChoice:
        return FoundationChoice(self.backbone, self.teacher, self.autoencoder, self.text_tower)

    def load_preset(self) -> Preset:
        """The preset of these parameters with the chosen parts. Raises MuseError for an unknown
        preset.
        """
        return self.foundations.applied(preset_named(self.preset))


class TrainingParameters(ChosenFoundations):
    """What every notebook asks for that trains: also in how many processes, or by which of
    Accelerate's configurations.
    """

    processes: Annotated[Whole, Field(ge=1, description="an integer of at least 1")] = 1
    accelerate_config: str = ""

    @property
    def launch(self) -> Launch:
        return Launch(self.processes, self.accelerate_config.strip())

    def for_run(self) -> dict[str, Any]:
        """The parameters as the fields of a run: pretrained parts and processes as one object each."""
        together = {"foundations": FoundationChoice, "launch": Launch}
        parts = {part.name for kind in together.values() for part in fields(kind)}
        return self.model_dump(exclude=parts) | {name: getattr(self, name) for name in together}


class StageParameters(TrainingParameters):
    """What notebooks 01 to 03 ask for; ``steps`` and ``batch_size`` are None when the preset
    decides.
    """

    run: RunName
    preset: Filled
    data: Filled
    steps: Count
    batch_size: Count
    seed: Seed
    device: Filled
    resume: bool
    routing: Filled
    trackers: Annotated[tuple[str, ...], BeforeValidator(_words_of)] = ()
    bad_steps: Annotated[Whole, Field(ge=0, description="zero or a positive integer")] = 0


class StudyRunParameters(ChosenFoundations):
    """What ``studies/one_run`` asks for: a whole curriculum, and what is changed about it."""

    run: RunName
    preset: Filled
    data: Filled
    seed: Seed
    share: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]
    routing: Filled
    order: Filled
    without: str
    anchoring: Filled
    surgery: Filled
    geometry_every: Annotated[Whole, Field(ge=0, description="a number of steps, or 0 for never")]
    train_images: Count
    test_images: Count
    device: Filled


class StudyParameters(NotebookParameters):
    """What notebooks 06 and 07 ask for: a study's file, or the name of one in ``studies/``."""

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


class EvaluationParameters(ChosenFoundations):
    """What notebook 05 asks for; sizes are None when the preset decides."""

    run: RunName
    preset: Filled
    data: Filled
    baseline: RunNameOrNone
    train_images: Count
    test_images: Count
    seed: Seed
    device: Filled
    download: bool


class GenerationParameters(TrainingParameters):
    """What notebook 08 asks for; sizes and ``denoiser`` are None and "" when the preset decides,
    ``tokenizers`` "" is the run.
    """

    run: RunName
    preset: Filled
    data: Filled
    tokenizers: RunNameOrNone
    compare: bool
    steps: Count
    batch_size: Count
    images: Count
    denoiser: str
    guidance: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="a number of at least 0; 1 means none")
    ]
    sampling_steps: Annotated[
        Whole,
        Field(
            ge=1,
            le=MOST_SAMPLING_STEPS,
            description=f"an integer of at least 1 and at most {MOST_SAMPLING_STEPS:,}",
        ),
    ]
    drawn: Count
    seed: Seed
    device: Filled
    resume: bool
    download: bool


class TopologyParameters(ChosenFoundations):
    """What notebook 04 asks for; empty texts mean the preset's teacher, no image of one's own,
    ``RUN-shared``.
    """

    run: RunName
    preset: Filled
    data: Filled
    images: Annotated[Whole, Field(ge=0, le=64, description="an integer from 0 to 64")]
    image: str
    fit: Literal["crop", "pad"] = Field(description="crop or pad")
    resolution: _count(MOST_PIXELS)
    baseline: RunNameOrNone
    layer: Annotated[Whole, Field(ge=0, description="a block's number, or 0 for the last")]
    patch: Annotated[
        Whole, Field(ge=-1, description="a patch's number, or -1 for one that is chosen")
    ]
    device: Filled


class WatchParameters(NotebookParameters):
    """What ``tools/watch`` asks for."""

    run: RunName
    seconds: Annotated[
        float, Field(ge=0, le=LONGEST_WATCH, description="a number of seconds from 0 to a week")
    ]
    every: Annotated[
        float, Field(gt=0, le=3600, description="a number of seconds above 0, at most an hour")
    ]


class FoundationParameters(NotebookParameters):
    """What notebook 00 asks for; ``steps`` is None when each recipe decides."""

    run: RunName
    preset: Filled
    train: bool
    self_distillation: bool
    steps: Count
    seed: Seed
    images: Annotated[Whole, Field(ge=2, description="an integer of at least 2")]


def _sentence(model: type[BaseModel], error: ValidationError) -> str:
    """The first of pydantic's complaints as one sentence that names the parameter and the value."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "the parameters"
    if first["type"] == "extra_forbidden":
        return f"There is no parameter {shown(name)}: the parameters are {', '.join(model.model_fields)}."
    if first["type"] == "missing":
        return f"The parameter {name!r} has no value: set it in the parameters cell."
    return f"{name} must be {_expected(model, name, first)}: got {shown(first['input'])}."


def _expected(model: type[BaseModel], name: str, complaint: Any) -> str:
    field = model.model_fields.get(name)
    if field is not None and field.description:
        return field.description
    if complaint["type"] == "value_error":
        return "a text that is not empty"
    return _WORDS.get(complaint["type"], complaint["msg"][:1].lower() + complaint["msg"][1:])
