"""docs/extending.md: its examples run in their order, and what each adds is really used."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"^## (.+?)$|^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
QUICK = """\
extends: {folder}/micro.yaml
held_out_images: 40
probe_images: 60
segmentation_steps: 5
"""
LONGEST = 25


def examples() -> dict[str, str]:
    """Heading -> code below it."""
    found, heading = {}, "begin"
    for title, code in BLOCKS:
        heading = title or heading
        if code:
            assert heading not in found, f"two examples under {heading!r}"
            found[heading] = code
    return found


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables as they were, afterwards."""
    from muse_core.data.sources import OPENERS
    from muse_core.evaluation import intervals
    from muse_core.models.block_variants import VARIANTS
    from muse_core.results.measurements import METRICS

    for table, name in ((OPENERS, "stripes"), (VARIANTS, "sharp"), (METRICS, "attention_entropy")):
        monkeypatch.setitem(table, name, None)
    monkeypatch.setattr(intervals, "RESAMPLES", 100)


def test_the_examples_are_short() -> None:
    lines = {heading: len(code.strip().splitlines()) for heading, code in examples().items()}
    assert len(lines) == 8 and max(lines.values()) <= LONGEST, lines


def test_the_examples_run_in_their_order(micro: Path, tables, monkeypatch, tmp_path) -> None:
    from muse_core.training.trainer import Trainer

    preset = tmp_path / "quick.yaml"
    preset.write_text(QUICK.format(folder=micro / "data" / "foundations" / "micro"))
    monkeypatch.setenv("MUSE_SMOKE_PRESET", str(preset))
    names: dict[str, Any] = {"__name__": "extending"}
    for heading, code in examples().items():
        exec(compile(code, f"{PAGE.name}: {heading}", "exec"), names)
    assert "smooth" in names["result"].record.losses
    assert {name for name, _ in names["sharp"].named_parameters() if "sharpness" in name}
    assert names["stripes"].first(3).images.shape == (3, 3, 32, 32)
    opened = replace(names["opened"].named, overrides="connector.attention=sharp").open()
    options = replace(opened.options, run="sharp")
    given = opened.stage, names["stripes"], opened.teachers
    trained = Trainer(opened.tokenizer(), *given, options=options).fit()
    assert trained.tokenizer.config.attention == "sharp" and trained.record.steps == 6
    moved = trained.tokenizer.connector.blocks[0].topology_sharpness
    assert moved.abs().max() > 0
    ours, patches = names["rows"]
    assert ours.value("attention_entropy") > 0 and patches.value("attention_entropy") is None
    assert patches.value("linear_probe") > 0 and patches.value("psnr") is None
    assert "attention entropy" in names["page"] and "random patches" in names["page"]
    shown, notes = names["picture"]._repr_mimebundle_()
    assert {"image/png", "application/vnd.plotly.v1+json"} <= shown.keys()
    assert notes["image/png"]["alt"] == "The linear probe of both rows."


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
        assert (PAGE.parent / link).exists(), link
