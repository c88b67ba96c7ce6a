"""Notebook 04's session refuses what it cannot show, in one sentence, before it takes time."""

import pytest
import torch

from muse_core.config.presets import preset_named
from muse_core.data.own_images import own_images
from muse_core.errors import MuseError
from muse_core.evaluation.attention.run_attention import (
    UNTRAINED,
    backbone_network,
    student_network,
    teacher_networks,
    untrained_tokenizer,
)
from muse_core.foundations.backbone import Backbone
from muse_core.report import attention_session as topology
from muse_core.report.attention_session import begin_topology, conclusions
from muse_core.results.measurements import AttentionProfile
from muse_core.training.teachers import open_topology_teacher

GIVEN = dict(
    run="smoke",
    preset="smoke",
    data="scenes",
    images=2,
    image="cat",
    fit="crop",
    resolution=0,
    teacher="",
    baseline="",
    layer=0,
    patch=-1,
    device="cpu",
)


@pytest.fixture(autouse=True)
def networks(monkeypatch) -> None:
    preset = preset_named("smoke")
    teacher = open_topology_teacher(
        preset.foundations.teacher, 6, preset.foundations.teacher_layers
    ).eval()
    student = untrained_tokenizer(preset, "a-run-that-does-not-exist").eval()
    backbone = Backbone.from_pretrained(preset.foundations.backbone).eval()
    made = [*teacher_networks(teacher, student, 64), student_network(UNTRAINED, student)]
    made.append(backbone_network(backbone, student))
    monkeypatch.setattr(topology, "run_attention", lambda *_: (made, []))


def test_own_images_come_after_the_data_s_and_are_looked_at_alike() -> None:
    session = begin_topology(**GIVEN)
    views = session.see()
    assert len(session.shown.names) == 3 and session.shown.names[-1] == "cat"
    assert torch.equal(session.shown.images[-1], own_images("cat", 64).images[0])
    widget = session.explorer()
    found = session.looked_at(widget.selection)
    student = next(view for view in views if view.role == "student")
    expected = student.maps[0, -1].mean(0)[widget.selection["patch"]]
    torch.testing.assert_close(torch.from_numpy(found[student.name]).flatten(), expected)


def test_a_dropped_image_is_looked_at_by_everybody(tmp_path) -> None:
    from PIL import Image

    Image.new("RGB", (80, 40), "teal").save(tmp_path / "x.png")
    session = begin_topology(**GIVEN)
    session.see()
    data = session.explored.add("x.png", (tmp_path / "x.png").read_bytes())
    assert data["names"][-1] == "x.png" and {len(view.maps) for view in session.see()} == {4}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"patch": 64}, "choose 0 to 63"),
        ({"layer": 7}, "the student has 6"),
        ({"fit": "stretch"}, "fit must be crop or pad"),
        ({"image": "nowhere.jpg"}, "no image file"),
        ({"image": "", "images": 0}, "no image to look at"),
        ({"images": -1}, "images must be an integer from 0 to 64"),
        ({"teacher": "timm:no_such_model"}, "timm has no model"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(wrong, words: str) -> None:
    with pytest.raises(MuseError, match=words):
        begin_topology(**GIVEN | wrong)


def test_conclusions_follow_their_numbers() -> None:
    one = dict(grid=(2, 2), distance=[[0.5]], entropy=[[1.0]])
    teacher = AttentionProfile("teacher, resized (Ψ)", "teacher", auc=[[0.9]], **one)
    before = AttentionProfile(UNTRAINED, "student", auc=[[0.5]], kl=[[0.4]], **one)
    after = AttentionProfile("after stage 3", "student", auc=[[0.8]], kl=[[0.1]], **one)
    said = " ".join(conclusions([teacher, before, after], 0.7, 48))
    assert (
        "from 0.400 to 0.100 nats" in said
        and "after stage 3 0.800" in said
        and "alone scores 0.700" in said
    )
