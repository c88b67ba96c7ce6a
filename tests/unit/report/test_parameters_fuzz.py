"""Whatever stands in a parameters cell, the answer is the checked parameters or one sentence."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.config import parameters
from muse_core.config.parameters import NotebookParameters
from muse_core.errors import MuseError

from ...hostile_values import VALUES

MODELS = [
    model
    for model in vars(parameters).values()
    if isinstance(model, type)
    and issubclass(model, NotebookParameters)
    and model.__subclasses__() == []
]
GOOD: dict[str, Any] = {
    "run": "smoke",
    "a": "smoke",
    "b": "smoke.one-run",
    "preset": "smoke",
    "data": "scenes",
    "study": "smoke",
    "drawing": "drawing-smoke",
    "device": "cpu",
    "routing": "shared",
    "order": "paper",
    "without": "",
    "anchoring": "contrast",
    "surgery": "none",
    "overrides": "",
    "image": "",
    "fit": "crop",
    "split": "val",
    "system": "unitok",
    "pairs": 2,
    "prompts": 2,
    "baseline": "",
    "tokenizers": "",
    "denoiser": "",
    "backbone": "",
    "teacher": "",
    "autoencoder": "",
    "text_tower": "",
    "share": 0.5,
    "guidance": 3.0,
    "sampling_steps": 4,
    "images": 4,
    "layer": 0,
    "patch": -1,
    "resume": False,
    "every": 1.0,
    "seconds": 1.0,
    "train": False,
    "self_distillation": False,
    "compare": True,
    "download": False,
    "processes": 1,
    "accelerate_config": "",
    "trackers": "",
}


def good(model: type[NotebookParameters]) -> dict[str, Any]:
    return {name: GOOD.get(name, 0) for name in model.model_fields}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_good_values_are_good(model: type[NotebookParameters]) -> None:
    """So that what the next test changes is what is refused."""
    assert model.check(**good(model)).run == "smoke"


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_only_a_sentence_comes_out(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    names = data.draw(
        st.lists(
            st.sampled_from([*model.model_fields, "stepz", "__class__"]), min_size=1, max_size=2
        )
    )
    changed = {name: data.draw(VALUES) for name in names}
    try:
        checked = model.check(**good(model) | changed)
    except MuseError as error:
        assert "\n" not in str(error) and 20 < len(str(error)) < 800
    else:
        assert set(changed) <= set(checked.model_dump())
