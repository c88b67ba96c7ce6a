"""The JSON files beside weights, damaged or of another kind: only sentences come out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.foundations.loading import refuse_pickles, require_class
from muse_core.foundations.parts import BACKBONE, TEACHER, TEXT_TOWER, Part, open_part
from muse_core.foundations.text_tower import text_config

from ...hostile_values import JSON_VALUES, damaged, json_bytes

CONFIG = (paths.foundations("tiny") / "text_tower" / "config.json").read_bytes()
INDEX = json_bytes({"metadata": {}, "weight_map": {"a": "model-00001.safetensors"}})
FILES = st.binary(max_size=30) | JSON_VALUES.map(json_bytes)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def answered(call: Callable[[], Any]) -> None:
    try:
        call()
    except MuseError as error:
        assert "\n" not in str(error) and len(str(error)) < 900


@given(content=FILES | damaged(json_bytes({"_class_name": "MuseTokenizer"})))
@quick
def test_a_class_is_right_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    answered(lambda: require_class("tokenizer", tmp_path, "MuseTokenizer"))


@given(
    content=FILES | damaged(CONFIG),
    index=FILES | damaged(INDEX),
    part=st.sampled_from((BACKBONE, TEACHER, TEXT_TOWER)),
)
@quick
def test_a_part_opens_or_is_a_sentence(
    tmp_path: Path, content: bytes, index: bytes, part: Part
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    (tmp_path / "model.safetensors.index.json").write_bytes(index)
    answered(lambda: open_part(part, tmp_path))


@given(value=JSON_VALUES, kind=st.sampled_from((BACKBONE, TEACHER)))
@quick
def test_colours_are_imagenets_or_a_sentence(tmp_path: Path, value: Any, kind: Part) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind.kinds[0]}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": value, "image_processor": value})
    )
    answered(lambda: open_part(kind, tmp_path))


@given(
    changes=st.dictionaries(
        st.sampled_from(("model_type", "text_config", "hidden_size", "projection_dim")), JSON_VALUES
    )
)
@quick
def test_a_text_configuration_is_read_or_a_sentence(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(json.loads(CONFIG) | changes))
    (tmp_path / "model.safetensors").write_bytes(b"")
    answered(lambda: text_config(tmp_path))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "last.ckpt", "a.pkl"])
def test_weights_in_a_pickle_alone_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MuseError, match=rf"{name}, a pickle, which can run code .*safetensors"):
        refuse_pickles("teacher", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    refuse_pickles("teacher", tmp_path)
