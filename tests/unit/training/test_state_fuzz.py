"""A checkpoint's state.json, damaged in any way: the checkpoint is passed over or refused in one
sentence.
"""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core.errors import MuseError
from muse_core.training.checkpoint import is_intact, latest_checkpoint

from ...hostile_values import JSON_VALUES, damaged, json_bytes

STATE = json_bytes({"step": 4, "sha256": {"training.safetensors": "00"}})


@given(content=st.binary(max_size=30) | damaged(STATE) | JSON_VALUES.map(json_bytes))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_is_passed_over_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "step-00000004"
    folder.mkdir(exist_ok=True)
    (folder / "training.safetensors").write_bytes(b"weights")
    (folder / "state.json").write_bytes(content)
    assert not is_intact(folder)
    try:
        latest_checkpoint(tmp_path)
    except MuseError as error:
        assert "run again without resume" in str(error) and "\n" not in str(error)
    else:
        raise AssertionError("a damaged checkpoint was taken")
