"""Whatever is in a study's file, the answer is a study or one sentence."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report.study import Study, study_named

from ...hostile_values import JSON_VALUES, damaged

CHECKOUT = Path(paths.__file__).resolve().parents[1]
GOOD = {
    "name": "mine",
    "common": {"preset": "tiny", "share": 0.5},
    "seeds": [0, 1],
    "rows": {
        "full": {"words": "all"},
        "other": {"words": "b", "change": {"routing": "shared"}, "expects": {"psnr": "lower"}},
    },
}
PLACES = ("name", "about", "notebook", "common", "seeds", "rows", "extends", "only", "colour")
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    (tmp_path / "notebooks").symlink_to(CHECKOUT / "notebooks")
    return tmp_path / "mine.yaml"


def read(file: Path) -> None:
    try:
        assert isinstance(study_named(str(file)), Study)
    except MuseError as error:
        assert "\n" not in str(error) and 20 < len(str(error)) < 1000


def test_the_good_study_is_good(file: Path) -> None:
    file.write_text(yaml.safe_dump(GOOD))
    assert len(study_named(str(file)).runs) == 4


@given(changes=st.dictionaries(st.sampled_from(PLACES), JSON_VALUES, min_size=1, max_size=2))
@quick
def test_wrong_values_are_a_sentence(file: Path, changes: dict[str, object]) -> None:
    file.write_text(yaml.safe_dump(GOOD | changes))
    read(file)


@given(content=damaged(yaml.safe_dump(GOOD).encode()))
@quick
def test_a_damaged_file_is_a_sentence(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    read(file)
