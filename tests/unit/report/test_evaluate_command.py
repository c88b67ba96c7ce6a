"""``muse evaluate``: a row as text and as a record that holds no place of this machine."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers import AutoencoderKL

from muse_core import paths
from muse_core.cli import main
from muse_core.config.overrides import load_preset
from muse_core.data.scenes import Scenes
from muse_core.evaluation.evaluate import evaluate
from muse_core.evaluation.named_network import named_network
from muse_core.evaluation.network_place import network_place
from muse_core.evaluation.protocol import open_protocol
from muse_core.report.evaluate_command import COLUMNS, of_images, text_table
from muse_core.results.machine_paths import machine_path
from muse_core.results.measurements import METRICS, EvaluationRecord
from muse_core.results.records import read_record
from muse_core.training.teachers import load_teachers

FEW = ["--images", "12", "--device", "cpu"]


@pytest.fixture
def vae(workspace: Path) -> Path:
    """A small autoencoder whose folder has a blank in its name."""
    blocks = dict(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=[8, 8, 16],
        norm_num_groups=4,
    )
    AutoencoderKL(**blocks).save_pretrained(workspace / "my vae")
    return workspace / "my vae"


def records(workspace: Path) -> dict[str, EvaluationRecord]:
    files = sorted((workspace / "reports/evaluate").iterdir())
    return {file.name: read_record(file, EvaluationRecord) for file in files}


def test_an_autoencoder_is_a_table_and_a_record(vae, workspace, capsys) -> None:
    assert main(["evaluate", str(vae), *FEW]) == 0
    said = capsys.readouterr().out
    file = workspace / "reports/evaluate/my-vae.json"
    assert said.splitlines()[-1] == str(file) and machine_path(file.read_text()) == ""
    record = read_record(file, EvaluationRecord)
    (row,) = record.rows
    assert row.name == "my vae (AutoencoderKL)" and (record.n_train, record.n_test) == (24, 12)
    assert said.startswith("my vae (AutoencoderKL): scenes, test, preset tiny, 24 train and 12 ")
    psnr = row.measurements["psnr"]
    found = re.search(r"^PSNR +([\d.]+) dB +([\d.]+) – ([\d.]+) +12$", said, re.MULTILINE)
    assert found and found.groups() == tuple(
        f"{each:.1f}" for each in (psnr.value, psnr.low, psnr.high)
    )
    assert "– zero-shot, zero-shot, top 5: this network has no embedding in the text space" in said


def test_the_row_is_that_of_the_same_protocol(workspace) -> None:
    """As notebook 05 measures it."""
    place = paths.foundations("tiny") / "backbone"
    assert main(["evaluate", str(place), *FEW]) == 0
    (row,) = records(workspace)["backbone.json"].rows
    preset = of_images(load_preset("tiny"), 12)
    sources = (Scenes("train", preset.image_size), Scenes("test", preset.image_size))
    protocol = open_protocol(preset, *sources, load_teachers(preset, "cpu"))
    again = evaluate(named_network(network_place(str(place)), preset), protocol).row
    assert {name: each.value for name, each in row.measurements.items()} == {
        name: each.value for name, each in again.measurements.items()
    }
    assert row.value("zero_shot") is not None and row.value("psnr") is None


def test_measured_again_a_row_takes_its_place_and_another_stands_beside_it(vae, workspace) -> None:
    for more in ([], [], ["--seed", "1"], ["--seed", "1"]):
        assert main(["evaluate", str(vae), *FEW, *more]) == 0
    names = [*records(workspace)]
    assert len(names) == 2 and "my-vae.json" in names
    assert any(re.fullmatch(r"my-vae-[0-9a-f]{6}\.json", name) for name in names)
    assert records(workspace)["my-vae.json"].seed == 0


def test_a_damaged_record_is_written_again(vae, workspace) -> None:
    file = workspace / "reports/evaluate/my-vae.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert main(["evaluate", str(vae), *FEW]) == 0
    assert [*records(workspace)] == ["my-vae.json"]


def test_images_of_another_size_are_said_in_the_row_and_in_the_notes(vae, workspace) -> None:
    preset = workspace / "odd.yaml"
    preset.write_text("extends: tiny\nimage_size: 63\n")
    assert main(["evaluate", str(vae), *FEW, "--preset", str(preset)]) == 0
    record = records(workspace)["my-vae.json"]
    note = "images of 63 px shown to it at 64 px, its reconstructions of 64 px resized"
    assert note in record.notes
    measured = record.rows[0].measurements
    assert measured["psnr"].protocol.endswith(note) and measured["miou"].protocol.endswith(note)
    assert not measured["zero_shot"].protocol.endswith(note)


def test_the_table_has_the_columns_of_the_notebook_with_their_words(vae, workspace, capsys) -> None:
    source = (paths.shipped() / "notebooks/05_evaluation.ipynb").read_text()
    cells = ["".join(each["source"]) for each in json.loads(source)["cells"]]
    asked = [cell for cell in cells if re.search(r"^columns = ", cell, re.MULTILINE)]
    found = [eval(cell.split("columns = ")[1].split("\n")[0]) for cell in asked]
    assert [*COLUMNS] == [name for columns in found for name in columns]
    assert main(["evaluate", str(vae), *FEW]) == 0
    said = capsys.readouterr().out
    (row,) = records(workspace)["my-vae.json"].rows
    assert all(f"\n{METRICS[name].words} " in said for name in COLUMNS if name in row.measurements)


def test_the_columns_are_aligned(vae, workspace) -> None:
    assert main(["evaluate", str(vae), *FEW]) == 0
    record = records(workspace)["my-vae.json"]
    lines = text_table(record).split("\n\n")[1].splitlines()
    assert len({len(line) for line in lines if line.endswith(("n", "12"))}) == 1
    other = replace(record, notes=["only this"])
    assert text_table(other).endswith("\nonly this")


def test_of_images_keeps_the_share_of_training_images() -> None:
    preset = load_preset("tiny")
    assert of_images(preset, 0) is preset
    few = of_images(preset, 200)
    assert (few.held_out_images, few.probe_images) == (200, 400)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "There is no network 'nowhere'"),
        (["text.txt"], "is a file"),
        (["empty"], "holds no config.json"),
        (["code"], "needs code of its own"),
        (["text"], "is not evaluated here"),
        (["my vae", "--data", "pets:nowhere"], "There is nothing at 'nowhere'"),
        (["my vae", "--data", "pet:x"], "Unknown data source"),
        (["my vae", "--images", "-3"], "--images must be 2 or more"),
        (["my vae", "--device", "tpu"], "tpu"),
    ],
)
def test_a_mistake_is_a_sentence(vae, workspace, monkeypatch, capsys, words, sentence) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "text.txt").write_text("words")
    for folder, config in {"empty": None, "code": {"auto_map": {"a": "b"}}, "text": {}}.items():
        (workspace / folder).mkdir()
        if config is not None:
            (workspace / folder / "config.json").write_text(json.dumps(config))
    assert main(["evaluate", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("muse: ") and said.count("\n") == 1
    assert not (workspace / "reports/evaluate").exists() or not records(workspace)
