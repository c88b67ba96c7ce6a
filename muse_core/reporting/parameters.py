"""Checks the values of a notebook's parameters cell; papermill itself checks nothing."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from muse_core import paths
from muse_core.errors import MuseError

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

Count = Annotated[Whole | None, Field(description="a positive integer, or 0 or None for what the preset says")]


Checked = TypeVar("Checked", bound=BaseModel)


class NotebookParameters(BaseModel):
    """Base of a notebook's parameters: unknown names are refused, "1e-4" and "false" become what they mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def check(cls: type[Checked], **values: Any) -> Checked:
        """The validated parameters. Raises MuseError, one sentence about the first wrong value."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise MuseError(_sentence(cls, error)) from None

    validate_all = check


class StageParameters(NotebookParameters):
    """What notebooks 01 to 03 ask for; ``steps`` and ``batch_size`` are None when the preset decides."""

    run: str
    preset: str
    data: str
    steps: Count
    batch_size: Count
    seed: Annotated[Whole, Field(ge=0, description="zero or a positive integer")]
    device: str
    resume: bool
    routing: str

    @field_validator("steps", "batch_size")
    @classmethod
    def _zero_means_preset(cls, value: int | None) -> int | None:
        return _zero_is_none(value)

    @field_validator("run")
    @classmethod
    def _run_is_a_folder_name(cls, value: str) -> str:
        return paths.check_run_name(value)

    @field_validator("preset", "data", "device", "routing")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        return _filled(value)


class EvaluationParameters(NotebookParameters):
    """What notebook 05 asks for; sizes are None when the preset decides."""

    run: str
    preset: str
    data: str
    baseline: str
    train_images: Count
    test_images: Count
    seed: Annotated[Whole, Field(ge=0, description="zero or a positive integer")]
    device: str
    download: bool

    @field_validator("train_images", "test_images")
    @classmethod
    def _zero_means_preset(cls, value: int | None) -> int | None:
        return _zero_is_none(value)

    @field_validator("run")
    @classmethod
    def _run_is_a_folder_name(cls, value: str) -> str:
        return paths.check_run_name(value)

    @field_validator("baseline")
    @classmethod
    def _baseline_is_a_folder_name(cls, value: str) -> str:
        return paths.check_run_name(value) if value.strip() else ""

    @field_validator("preset", "data", "device")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        return _filled(value)


class FoundationParameters(NotebookParameters):
    """What notebook 00 asks for; ``steps`` is None when each recipe decides."""

    run: str
    preset: str
    train: bool
    self_distillation: bool
    steps: Count
    seed: Annotated[Whole, Field(ge=0, description="zero or a positive integer")]
    images: Annotated[Whole, Field(ge=2, description="an integer of at least 2")]

    @field_validator("run")
    @classmethod
    def _run_is_a_folder_name(cls, value: str) -> str:
        return paths.check_run_name(value)

    @field_validator("steps")
    @classmethod
    def _zero_means_recipe(cls, value: int | None) -> int | None:
        return _zero_is_none(value)


def _zero_is_none(value: int | None) -> int | None:
    """0 and None let the preset, or the recipe, decide."""
    if value is not None and value < 0:
        raise ValueError("negative")
    return value or None


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text.strip()


def _sentence(model: type[BaseModel], error: ValidationError) -> str:
    """The first of pydantic's complaints as one sentence that names the parameter and the value."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "the parameters"
    if first["type"] == "extra_forbidden":
        return f"There is no parameter {name!r}: the parameters are {', '.join(model.model_fields)}."
    if first["type"] == "missing":
        return f"The parameter {name!r} has no value: set it in the parameters cell."
    return f"{name} must be {_expected(model, name, first)}: got {first['input']!r}."


def _expected(model: type[BaseModel], name: str, complaint: Any) -> str:
    field = model.model_fields.get(name)
    if field is not None and field.description:
        return field.description
    if complaint["type"] == "value_error":
        return "a text that is not empty"
    return _WORDS.get(complaint["type"], complaint["msg"][:1].lower() + complaint["msg"][1:])
