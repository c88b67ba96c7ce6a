"""A run of a system is found by its name, and called so; a tokenizer of MUSE comes first."""

from pathlib import Path

import pytest

from muse_core.evaluation.network_place import network_place


def test_a_system_is_found_by_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    for stage in ("system_1", "system_2"):
        place = tmp_path / "data" / "runs" / "mine" / stage / "tokenizer"
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    found = network_place("mine")
    assert found.folder == place and found.title == "mine, system_2"
    own = tmp_path / "data" / "runs" / "mine" / "01_topology_warmup" / "tokenizer"
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    assert network_place("mine").title == "mine, 01_topology_warmup"
