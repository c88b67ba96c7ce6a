"""The console script: one sentence for a mistake, the right exit code, the right run name."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from muse_core.cli import COMMANDS, _run_name, _with_preset, main
from muse_core.errors import MuseError
from muse_core.report.stamps import page_key, read_stamp, write_stamp
from muse_core.results.records import write_json

from .conftest import Writer
from .executed import executed_copy

COMPARED = """a: str = "smoke"
b: str = "smoke.one-run"
overrides: str = ""
data: str = "scenes"
images: int = 6
seed: int = 0
"""
HEAVY = ("torch", "diffusers", "transformers", "papermill", "nbconvert", "plotly")


def loaded(workspace: Path, code: str) -> str:
    """Which of `HEAVY` a new process has imported after ``code``."""
    code += f"; import sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=workspace
    )
    return found.stdout.splitlines()[-1]


def test_what_has_nothing_to_do_imports_nothing_heavy(
    workspace: Path, write_notebook: Writer
) -> None:
    source = write_notebook("00_a", "1", parameters="x: int = 1")
    executed_copy(source, "smoke", parameters={"run": "smoke"})
    stamp = read_stamp(workspace / "reports/smoke/00_a.ipynb")
    key = page_key(source, {"run": "smoke"}, workspace / "reports/smoke")
    write_stamp(workspace / "reports/smoke/00_a.ipynb", replace(stamp, key=key))
    (workspace / "reports/smoke/00_a.html").touch()
    words = ("import muse_core.cli as m; m.parser()", "m.main(['list'])", "m.main(['run', 'all'])")
    assert loaded(workspace, words[0]) == "[]"
    assert loaded(workspace, "; ".join(words)) == "[]"
    assert "00_a" in (workspace / "reports/index.html").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["look", "ca"],
        ["encode", "nowhere", "--into", "out"],
        ["evaluate", "nowhere"],
        ["evaluate", "owner/name", "--preset", "tyni"],
        ["evaluate", "owner/name", "--data", "folder:nowhere"],
        ["evaluate", "owner/name", "--data", "scene"],
        ["evaluate", "owner/name", "--images", "1"],
    ],
)
def test_a_misspelt_word_is_told_before_anything_heavy_is_imported(
    workspace: Path, words: list[str]
) -> None:
    assert loaded(workspace, f"import muse_core.cli as m; assert m.main({words}) == 2") == "[]"


def test_a_reader_who_goes_away_ends_the_list_without_a_word(write_notebook: Writer) -> None:
    for number in range(40):
        write_notebook(f"{number:02}_a", parameters="\n".join(f"x{i}: int = 1" for i in range(60)))
    listing = subprocess.Popen(
        [sys.executable, "-m", "muse_core.cli", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert listing.stdout is not None and listing.stderr is not None
    assert listing.stdout.readline().startswith(b"00_a")
    listing.stdout.close()
    assert listing.stderr.read() == b"" and listing.wait() == 141


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "07"], "muse: There is no notebook '07': choose all or one of 00_a.\n"),
        (["run", "00", "-p", "devise", "cpu"], "did you mean 'device'?"),
        (["run", "00", "--run", "a/b"], "not a folder name"),
        (["run", "00", "--run", "a", "-p", "run", "b"], "two names"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(
    write_notebook: Writer, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    write_notebook("00_a")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("muse: ") and sentence in said and said.count("\n") == 1


def test_a_command_that_does_not_parse_is_one_sentence_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run"])
    assert caught.value.code == 2 and capsys.readouterr().err.startswith(
        "muse: the following arguments are required"
    )


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(f"\n    {name} " in said for name in COMMANDS) and "examples:" in said


def test_no_notebooks_is_said(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 2 and "no numbered notebook" in capsys.readouterr().err


def test_list_shows_parameters_with_their_help(
    write_notebook: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook(
        "00_a", parameters="steps: int = 0  # 0 = what the preset says", title="Foundations"
    )
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert "00_a  Foundations" in said and "steps: int = 0  # 0 = what the preset says" in said


def test_a_failing_notebook_is_its_sentence_and_code_1(
    write_notebook: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook(
        "00_a",
        "from muse_core.errors import MuseError\nraise MuseError('No weights: run 00 first.')",
    )
    assert main(["run", "00"]) == 1
    said = capsys.readouterr()
    assert (
        "muse: 00_a stopped: No weights: run 00 first." in said.err and "Traceback" not in said.err
    )
    assert "failed after" in said.out


def test_the_run_is_named_after_the_preset() -> None:
    assert _run_name(None, {}) == "smoke"
    assert _run_name(None, {"preset": "tiny"}) == "tiny"
    assert _run_name("mine", {"preset": "tiny"}) == "mine"
    assert _run_name(None, {"run": "also"}) == "also"
    with pytest.raises(MuseError):
        _run_name("a", {"run": "b"})


def test_a_run_named_after_a_preset_is_of_that_preset(workspace, write_notebook: Writer) -> None:
    known = [write_notebook("00_a")]
    assert _with_preset("tiny", {}, known) == {"preset": "tiny"}
    assert _with_preset("tiny", {"preset": "demo"}, known) == {"preset": "demo"}
    assert _with_preset("mine", {}, known) == {}
    assert _with_preset("smoke", {}, known) == {}, "their default, and no key of a page changes"
    assert _with_preset("tiny", {}, []) == {}


def test_shards_are_written_and_verified(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["shards", "scenes", "--into", str(workspace / "shards"), "--image-size", "8"]
    words += ["--limit", "3", "--samples-per-shard", "2"]
    assert main(words) == 0 and "9 samples in 6 shards, 0 left out" in capsys.readouterr().out
    assert main(["shards", "--verify", str(workspace / "shards")]) == 0
    assert "every shard is as it was written" in capsys.readouterr().out
    (workspace / "shards" / "000004.tar").write_bytes(b"damaged")
    assert main(["shards", "--verify", str(workspace / "shards")]) == 1
    assert "muse: 000004.tar is not as it was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Write shards with `muse shards SOURCE --into FOLDER`"),
        (["scenes"], "Write shards with `muse shards SOURCE --into FOLDER`"),
        (["--verify", "nowhere"], "There is no shards.json in"),
        (["scense", "--into", "x"], "Unknown data source 'scense'"),
        (["scenes", "--into", "x", "--samples-per-shard", "0"], "at least one sample"),
    ],
)
def test_a_mistake_with_shards_is_a_sentence(
    workspace: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["shards", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("muse: ") and sentence in said and said.count("\n") == 1
    assert not list(workspace.rglob("*.tar"))


def test_two_runs_are_compared_with_the_preset_of_the_first(
    workspace: Path, write_notebook: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("00_a")
    source = write_notebook("two_runs", "print(a, b, preset, overrides, data)", parameters=COMPARED)
    (workspace / "notebooks/studies").mkdir()
    source.rename(workspace / "notebooks/studies/two_runs.ipynb")
    trained = {"preset": "tiny", "overrides": "image_size=64", "data": "scenes"}
    for run, own in (("wide", {}), ("narrow", {"data": "pets:there"})):
        write_json(workspace / f"reports/{run}/records/stage1.json", trained | own)
    assert main(["compare", "wide", "narrow"]) == 0
    said = capsys.readouterr().out
    assert "narrow was trained with data 'pets:there'; both are looked at with 'scenes'" in said
    page = workspace / "reports/wide-and-narrow/two_runs.html"
    assert "wide narrow tiny image_size=64 scenes" in page.read_text()
    assert "wide-and-narrow" in (workspace / "reports/index.html").read_text()
    assert "muse compare wide narrow --run wide-and-narrow" in page.read_text()
    # It is made again once one of the two was trained again.
    assert main(["compare", "wide", "narrow"]) == 0 and "up to date" in capsys.readouterr().out
    write_json(workspace / "reports/wide/records/stage1.json", trained | {"seed": 1})
    assert main(["compare", "wide", "narrow"]) == 0 and "done after" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a/b", "narrow"], "a/b"),
        (["wide", "wide"], "name two"),
        (["wide", "gone"], "no finished stage"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(
    workspace: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    write_json(workspace / "reports/wide/records/stage1.json", {"preset": "tiny"})
    assert main(["compare", *words]) == 2
    assert said in capsys.readouterr().err and not (workspace / "reports/wide-and-gone").exists()
