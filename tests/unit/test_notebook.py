"""The questions a notebook asks about an image, and how a session refuses before it
does any work.
"""

from types import SimpleNamespace

import pytest
import torch

from muse_core.config.presets import preset_named
from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.notebook import Lab, _print_file_notes, example_queries, setup
from muse_core.results.records import provenance
from muse_core.training.stage_record import StageRecord

GIVEN = dict(
    run="nobody",
    preset="smoke",
    data="scenes",
    overrides="",
    seed=0,
    device="cpu",
    resume=False,
)


def batch(mask: torch.Tensor | None) -> Batch:
    return Batch(
        torch.rand(1, 3, 16, 16),
        ("",),
        torch.zeros(1, dtype=torch.long),
        ("a",),
        instance_masks=mask,
    )


def test_the_first_query_lies_on_the_largest_object() -> None:
    mask = torch.zeros(1, 16, 16, dtype=torch.long)
    mask[0, 10:14, 2:8] = 1
    mask[0, 0:2, 14:16] = 2
    query, corner = example_queries(batch(mask), 0, (4, 4))
    assert mask[0, (query // 4) * 4 + 2, (query % 4) * 4 + 2] == 1
    assert corner == 3


@pytest.mark.parametrize(
    "mask", [None, torch.zeros(1, 16, 16, dtype=torch.long)], ids=["no mask", "empty mask"]
)
def test_without_an_object_the_middle_is_asked(mask: torch.Tensor | None) -> None:
    assert example_queries(batch(mask), 0, (4, 6)) == [2 * 6 + 3, 5]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"data": "scenes"}, False),
        ({"data": "folder:photos"}, True),
        ({"data": "scenes", "image": "cat"}, True),
        ({"data": "scenes", "image": ""}, False),
    ],
)
def test_photographs_before_foundations_of_drawings_are_a_notice(given: dict, told: bool) -> None:
    facts = Lab(SimpleNamespace(preset="tiny", **given), preset_named("tiny")).facts()
    assert ("have seen drawn scenes only" in facts.get("notice", "")) == told
    assert not told or "muse-small" in facts["notice"]
    assert "notice" not in Lab(SimpleNamespace(**given), preset_named("muse-small")).facts()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"preset": "tinny"}, "Unknown preset 'tinny': choose one of smoke, tiny"),
        ({"data": "cats"}, "cats"),
        ({"data": "folder:no/such/place"}, "no/such/place"),
        ({"routing": "diagonal"}, "Unknown routing 'diagonal': choose one of orthogonal, shared"),
        ({"steps": -3}, "stage.steps cannot be"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_parameter_is_one_sentence(
    wrong: dict, sentence: str, tmp_path, monkeypatch
) -> None:
    with pytest.raises(MuseError) as raised:
        setup("01_topology_warmup", GIVEN | wrong)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_earlier_stage_names_its_notebook_and_command() -> None:
    with pytest.raises(MuseError, match="muse run 01 --run nobody -p preset smoke"):
        setup("02_semantic_injection", GIVEN, needs="refuse")
    with pytest.raises(MuseError, match="Unknown answer to needs 'ask': choose one of make"):
        setup("02_semantic_injection", GIVEN, needs="ask")


def test_a_misspelt_parameter_that_papermill_injected_is_refused() -> None:
    """papermill itself only warns, and runs the notebook with its defaults."""
    cells = ["run: str = 'nobody'", "# Parameters\nstepz = 3\n", "another = 1"]
    namespace = GIVEN | {"In": cells, "stepz": 3, "another": 1}
    with pytest.raises(MuseError, match=r"There is no parameter 'stepz' .did you mean 'steps'"):
        setup("01_topology_warmup", namespace)


def test_an_injected_field_is_an_override_and_other_names_of_the_notebook_are_left_alone(
    tmp_path, monkeypatch, capsys
) -> None:
    cells = ["run: str = 'nobody'", "# Parameters\nsteps = 3\n", "another = 1"]
    lab = setup("01_topology_warmup", GIVEN | {"In": cells, "steps": 3, "another": 1})
    assert lab.stage.steps == 3 and lab.options.run == "nobody"
    assert "stage.steps=3" in capsys.readouterr().out


def test_unreadable_and_small_files_are_said_in_the_report(capsys) -> None:
    record = StageRecord(
        stage="01_topology_warmup",
        run="r",
        preset="smoke",
        data="folder:x",
        data_fingerprint="f",
        routing="orthogonal",
        seed=0,
        steps=1,
        batch_size=2,
        resumed_at=0,
        seconds=1.0,
        images_per_second=2.0,
        losses={},
        trainable_parameters=1,
        perceptual_network="teacher features",
        files_skipped=["cat/broken.jpg"],
        files_enlarged=3,
        provenance=provenance(),
        configuration={},
        code={},
    )
    _print_file_notes(record)
    said = capsys.readouterr().out
    assert (
        "1 notes on the data" in said
        and "cat/broken.jpg" in said
        and "3 images were smaller" in said
    )


def test_the_query_lies_on_the_object_even_where_its_middle_is_a_hole() -> None:
    """A ring's middle belongs to the background."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    away = ((rows - 32) ** 2 + (columns - 32) ** 2).sqrt()
    ring = ((away > 14) & (away < 28)).long()[None]
    batch = Batch(torch.zeros(1, 3, 64, 64), ("",), torch.tensor([-1]), ("",), instance_masks=ring)
    query, corner = example_queries(batch, 0, (8, 8))
    row, column = divmod(query, 8)
    assert (
        ring[0, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8].float().mean() > 0.5
        and corner == 7
    )
