"""``muse import-release``: the authors' checkpoint among the runs, looked at by the notebooks that
look at any run.
"""

from pathlib import Path

import pytest
import torch
import yaml

from muse_core import paths
from muse_core.cli import main
from muse_core.config.overrides import load_preset
from muse_core.config.stage import Loss
from muse_core.data.scenes import Scenes
from muse_core.evaluation.gradients.measured_routes import measured_routes
from muse_core.evaluation.run_rows import last_tokenizer
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report import run as pipeline
from muse_core.report.arguments import choose_notebooks
from muse_core.results.records import read_json
from muse_core.training.teachers import load_teachers

from ..published_layouts import write_all
from ..release_layout import BLOCKS, HEADS, WIDTH, released_forward, released_weights

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the checkpoint's folder, and a preset of its size."""
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-torch-home"))
    folder = tmp_path / "MUSE-1B"
    folder.mkdir()
    torch.save(released_weights(), folder / "pytorch_model.bin")
    return folder


def small_release(folder: Path) -> Path:
    """The preset muse-release at the checkpoint's size, with small parts."""
    torch.manual_seed(0)
    said = {
        "extends": "muse-release",
        # Whole patches of InternViT, and of DC-AE.
        "image_size": 224,
        "foundations": write_all(folder / "parts"),
        "connector": {"width": WIDTH, "num_heads": HEADS, "num_blocks": BLOCKS},
        "loader_workers": 0,
        "held_out_images": 40,
        "probe_images": 120,
        "segmentation_steps": 5,
    }
    file = folder / "released.yaml"
    file.write_text(yaml.safe_dump(said))
    return file


def test_it_stands_where_a_trained_one_would_and_is_never_written_over(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-release", str(released), "--into", "theirs"]) == 0
    said = capsys.readouterr()
    assert "left out: 3 weights of their teacher" in said.err
    assert "muse run 04 05 --run theirs -p preset muse-release" in said.out
    note = read_json(paths.records_folder("theirs") / "imported.json")
    assert note["imported"] == "pytorch_model.bin" and note["left_out"] == 3
    assert len(note["sha256"]) == 64 and str(released) not in str(note)

    preset = load_preset(str(small_release(released.parent)))
    tokenizer = last_tokenizer(preset, "theirs", "cpu").network
    images = Scenes("test", 112).first(2).images
    with torch.no_grad():
        own = tokenizer.encode(images).latent
    expected = released_forward(released_weights(), images)["latent"]
    torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-4)

    (paths.run_folder("begun") / "01_topology_warmup").mkdir(parents=True)
    assert main(["import-release", str(released), "--into", "begun"]) == 2
    assert "begun is not empty" in capsys.readouterr().err
    assert main(["import-release", str(released), "--into", "theirs"]) == 2
    assert "is not empty: name another run or folder" in capsys.readouterr().err
    where = released.parent / "elsewhere" / "tokenizer"
    assert main(["import-release", str(released), "--into", str(where)]) == 0
    assert "muse run" not in capsys.readouterr().out
    assert MuseTokenizer.from_pretrained(where).config.form == "release"


def test_a_wrong_folder_or_name_is_a_sentence(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, sentence in (
        ([str(released.parent / "nowhere")], "There is no checkpoint in"),
        ([str(released), "--into", "a b"], "is not a folder name"),
    ):
        assert main(["import-release", *words]) == 2
        said = capsys.readouterr().err
        assert said.startswith("muse: ") and sentence in said and said.count("\n") == 1
    assert not (released.parent / "data" / "runs").exists()


def test_its_gradients_are_measured_as_the_release_routes_them(released: Path) -> None:
    main(["import-release", str(released)])
    preset = load_preset(str(small_release(released.parent)))
    tokenizer = last_tokenizer(preset, "release", "cpu").network
    last, batch = preset.curriculum.stages[-1], Scenes("test", 112).first(4)
    shares = measured_routes(tokenizer, last, load_teachers(preset, "cpu"), batch)
    assert shares[Loss.TOPOLOGY][WeightGroup.QUERY_KEY] > 0
    # What their code lets through: topology writes into texture, pixels into no W_Q, W_K.
    assert shares[Loss.TOPOLOGY][WeightGroup.TEXTURE] > 0
    assert shares[Loss.RECONSTRUCTION][WeightGroup.QUERY_KEY] == 0


@pytest.mark.long
@pytest.mark.parametrize("notebook", ["04", "05"])
def test_notebooks_look_at_it(
    released: Path, monkeypatch: pytest.MonkeyPatch, notebook: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    (released.parent / "notebooks").symlink_to(NOTEBOOKS)
    main(["import-release", str(released)])
    given = {"preset": str(small_release(released.parent)), "device": "cpu"}
    (outcome,) = pipeline.run(
        pipeline.plan(choose_notebooks([notebook]), "release", given), say=lambda _: None
    )
    assert outcome.status == "done", outcome.error
