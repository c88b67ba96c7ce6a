"""Every command and snippet of docs/your_images.md is run, one after the other, with a micro run
for the run demo.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from muse_core.cli import main
from muse_core.data.own_images import own_images

from .micro import IMAGE_SIZE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "your_images.md").read_text()


def blocks() -> Iterator[tuple[str, str]]:
    """(language, code) in the order of the page."""
    yield from re.findall(r"```(bash|python)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def desk(micro: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader stands: two pictures, a folder of some, and the run in its workspace."""
    monkeypatch.chdir(tmp_path)
    # Other tests train in this workspace too.
    newest = micro / "data/runs/whole/03_synergistic_tuning/tokenizer/config.json"
    os.utime(newest, (4e9, 4e9))
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("cat.jpg", "dog.jpg", "photos/1.png", "photos/more/2.png"):
        Image.effect_noise((48, 40), 90).save(tmp_path / name)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    return tmp_path


def test_everything_on_the_page_runs(desk: Path, micro: Path, capsys) -> None:
    known: dict[str, Any] = {}
    for language, code in blocks():
        if language == "python":
            exec(code.replace("data/runs/demo", str(micro / "data/runs/whole")), known)
            continue
        for line in code.splitlines():
            words = re.sub("(tokenizer|evaluate) demo", r"\1 whole", line)
            assert main(shlex.split(words)[1:]) == 0
    said = capsys.readouterr()
    default = Path(said.out.splitlines()[0])
    assert default.parent == micro / "reports" / "look" and default.is_file()
    assert default.name.startswith("cat-dog-whole-")
    (given,) = (desk / "pages").iterdir()
    assert given.name.startswith("cat-coffee-whole-")
    assert "2 of 3 images by whole, 03_synergistic_tuning" in said.out
    assert said.err.count("not encoded: broken.jpg cannot be used as an image") == 2
    assert (micro / "reports/evaluate/whole-03_synergistic_tuning.json").is_file()
    again = Image.open(desk / "cat-again.png")
    assert again.size == (IMAGE_SIZE, IMAGE_SIZE)
    assert len(known["pictures"]) == len(known["encoding"].latent) == 2
    manifest = json.loads((desk / "latents" / "manifest.json").read_text())
    assert [*manifest["unreadable"]] == ["broken.jpg"] and known["note"]["names"] == [
        "1.png",
        "more/2.png",
    ]
    assert torch.allclose(torch.from_numpy(known["latents"]), known["tensors"]["latent"], atol=1e-5)
    shown = own_images("photos/1.png", IMAGE_SIZE).images
    truth = known["tokenizer"].encode_image(shown).latent
    assert torch.allclose(known["tensors"]["latent"][:1], truth, atol=1e-5)


def test_the_pages_names_are_those_of_the_workspace() -> None:
    from muse_core.config.presets import PRESETS

    assert {"demo", "tiny", "smoke", "muse-1b"} <= PRESETS.keys()
    languages = [language for language, _ in blocks()]
    assert languages.count("bash") == 5 and languages.count("python") == 4


def test_without_a_run_one_sentence_names_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    for words in (["look", "cat"], ["encode", str(tmp_path), "--into", str(tmp_path / "out")]):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "`muse demo` trains one" in said
