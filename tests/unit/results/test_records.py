import re
import subprocess
from dataclasses import dataclass

import pytest

from muse_core import __version__
from muse_core.errors import MuseError
from muse_core.results import records


@dataclass(frozen=True)
class Note:
    number: float
    nested: dict


def test_a_record_comes_back_as_it_was(tmp_path) -> None:
    path = records.write_json(tmp_path / "new" / "note.json", Note(1 / 3, {"a": [1, None]}))
    assert records.read_json(path) == {"number": 1 / 3, "nested": {"a": [1, None]}}
    assert [file.name for file in path.parent.iterdir()] == ["note.json"], (
        "no temporary file is left"
    )


def test_a_write_that_fails_keeps_the_old_record(tmp_path, monkeypatch) -> None:
    path = records.write_json(tmp_path / "note.json", {"old": 1})

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "replace", refuse)
    with pytest.raises(MuseError, match=r"Cannot write .*note\.json \(No space left on device\)"):
        records.write_json(path, {"new": 2})
    assert records.read_json(path) == {"old": 1}


def test_absent_and_damaged_records_are_sentences(tmp_path) -> None:
    with pytest.raises(
        MuseError, match=r"There is no record .*run the notebook that writes it first"
    ):
        records.read_json(tmp_path / "none.json")
    for content in (b"{", b"", b"\xff\xfe\x9f"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(MuseError, match=r"is damaged .*delete it"):
            records.read_json(tmp_path / "bad.json")


def test_rows_are_appended_and_a_line_cut_short_is_left_out(tmp_path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    assert list(records.read_jsonl(path)) == []
    records.append_jsonl(path, [{"step": 1}, {"step": 2, "loss": 0.1 + 0.2}])
    records.append_jsonl(path, [{"step": 3}])
    path.write_text(path.read_text() + '{"step": 4, "lo')
    assert list(records.read_jsonl(path)) == [
        {"step": 1},
        {"step": 2, "loss": 0.1 + 0.2},
        {"step": 3},
    ]


def test_rows_that_cannot_be_written_are_a_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MuseError, match="Cannot write"):
        records.append_jsonl(tmp_path / "file" / "rows.jsonl", [{"step": 1}])


def test_outside_git_the_commit_is_the_version(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(records.paths, "checkout", lambda: tmp_path)
    assert records.commit() == __version__
    (tmp_path / ".git").write_text("damaged")
    assert records.commit() == "unknown"


def test_the_commit_is_that_of_the_code_wherever_runs_are_kept(tmp_path, monkeypatch) -> None:
    code = tmp_path / "code"
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "init", "-q", str(code)], check=True)
    first = ["git", *author, "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(first, cwd=code, check=True)
    monkeypatch.setattr(records.paths, "checkout", lambda: code)
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path / "runs"))
    clean = records.commit()
    assert re.fullmatch("[0-9a-f]{10}", clean)
    (code / "muse_core").mkdir()
    (code / "muse_core" / "new.py").write_text("")
    assert records.commit() == f"{clean}+changes"


def test_provenance_names_the_versions_that_ran() -> None:
    import torch

    found = records.provenance("cpu")
    assert found.torch == torch.__version__.split("+")[0] or found.torch == torch.__version__
    assert found.device == "cpu" and found.date.endswith("+00:00")
