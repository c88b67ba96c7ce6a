"""Any field of a preset by its path; a wrong path or value is one sentence with the nearest right
one.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from muse_core.config.overrides import apply, load_preset, model_of, parse, shorthand, with_model
from muse_core.config.presets import tiny
from muse_core.errors import MuseError

FIRST, SECOND, THIRD = (stage.name for stage in tiny().curriculum)


def test_every_kind_of_path_reaches_its_field() -> None:
    preset = load_preset(
        "tiny",
        "image_size=96 routing=shared connector.num_blocks=4 02.weights.topology=2 "
        "03.stage.learning_rate=1e-4 03.shares.anchor=0.5 08.stage.steps=9 held_out_images=1e2 "
        "trackers=tensorboard",
    )
    assert (preset.image_size, preset.routing, preset.connector.num_blocks) == (96, "shared", 4)
    assert preset.curriculum[SECOND].weights["topology"] == 2.0
    assert preset.curriculum[FIRST].weights == tiny().curriculum[FIRST].weights
    assert preset.curriculum[THIRD].learning_rate == 1e-4
    own = tiny().curriculum[THIRD].shares
    assert preset.curriculum[THIRD].shares == {**own, "anchor": 0.5}
    assert preset.generation.steps == 9
    assert (preset.held_out_images, preset.trackers) == (100, ("tensorboard",))


def test_stage_means_the_notebooks_own_stage_or_every_one() -> None:
    own = load_preset("tiny", "stage.steps=7 weights.anchor=0", SECOND)
    assert [stage.steps for stage in own.curriculum] == [400, 7, 440]
    assert "anchor" not in own.curriculum[SECOND].weights
    assert "anchor" in own.curriculum[THIRD].weights
    assert [stage.steps for stage in load_preset("tiny", "stage.steps=7").curriculum] == [7, 7, 7]
    assert load_preset("tiny", "stage.steps=7", "08_generation").generation.steps == 7


def test_the_curriculum_is_changed_before_its_stages() -> None:
    preset = load_preset("tiny", "03.stage.steps=5 curriculum.order=joint curriculum.share=0.5")
    (joint,) = preset.curriculum
    assert (joint.name, joint.steps, joint.starts_from) == (THIRD, 5, None)


def test_another_teacher_teaches_by_its_own_layers_and_a_folder_is_a_whole_path(
    tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    found = load_preset("tiny", "teacher=timm:vit_small backbone=mine").foundations
    assert (found.teacher, found.teacher_layers) == ("timm:vit_small", None)
    assert found.backbone == str((tmp_path / "mine").resolve())
    assert found.text_tower == tiny().foundations.text_tower


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("stage.learing_rate=1", "no field 'stage.learing_rate' .*mean stage.learning_rate"),
        ("stage.shares=0.5", "no field 'stage.shares' .*mean stage.steps"),
        ("02.learning_rate=1", "no field '02.learning_rate' .*mean 02.stage.learning_rate"),
        ("conector.width=8", "no field 'conector.width' in a preset .*connector.width"),
        ("connector=8", "no field 'connector' in a preset"),
        ("weights.topologie=1", "no loss 'topologie' .*mean topology"),
        ("weights.topology=-1", "must not be negative"),
        ("weights.topology=nan", "weights.topology cannot be 'nan': give a finite number"),
        ("shares.topologie=1", "no loss 'topologie' .*mean topology"),
        ("shares.topology=0", "shares.topology cannot be '0': input should be greater than 0"),
        ("02.shares.anchor=2", "02.shares.anchor cannot be '2': input should be less than or eq"),
        ("stage.steps=0", "stage.steps cannot be '0': input should be greater than or equal to 1"),
        ("stage.learning_rate=inf", "stage.learning_rate cannot be 'inf': give a finite number"),
        ("08.stage.time_mean=nan", "08.stage.time_mean cannot be 'nan': give a finite number"),
        ("10c.stage.shift=0", "10c.stage.shift cannot be '0': input should be greater than 0"),
        ("stage.steps=many", "stage.steps cannot be 'many'"),
        ("stage.steps", "'stage.steps' has no value: write path=value"),
        ("routing='a", "end inside a quotation"),
        ("curriculum.ordre=joint", "Unknown change of the curriculum 'ordre'"),
        ("09.stage.steps=1", "Unknown stage '09': choose one of 01_topology_warmup"),
        ("name=other", "no field 'name'"),
        ("stage.name=other", "no field 'stage.name'"),
    ],
)
def test_a_wrong_override_is_one_sentence(overrides: str, words: str) -> None:
    with pytest.raises(MuseError, match=words) as caught:
        load_preset("tiny", overrides)
    assert "\n" not in str(caught.value)


def test_no_blocks_and_a_topology_loss_is_one_sentence_with_the_fix() -> None:
    none = "connector.num_blocks=0 routing=naive"
    with pytest.raises(MuseError, match=r"no attention to align: add weights\.topology=0"):
        load_preset("tiny", none)
    assert load_preset("tiny", f"{none} weights.topology=0").connector.num_blocks == 0
    assert load_preset("tiny", f"{none} weights.topology=0", "02_semantic_injection")


def test_a_preset_file_says_what_it_extends_and_what_differs(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("extends: tiny\nstage: {steps: 9, batch_size: 2}\n")
    text = "extends: base.yaml\nconnector: {num_blocks: 3}\n'02': {weights: {anchor: 0.5}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    preset = load_preset(str(tmp_path / "mine.yaml"), "stage.steps=4", FIRST)
    assert (preset.name, preset.connector.num_blocks) == ("mine", 3)
    assert [stage.steps for stage in preset.curriculum] == [4, 9, 9]
    assert preset.curriculum[SECOND].weights["anchor"] == 0.5


@pytest.mark.parametrize("text", ["", "[1]", "steps: 3", "extends: [tiny]", "extends: tiny\na: {"])
def test_a_preset_file_that_says_nothing_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(MuseError, match=r"The preset file .*mine.yaml") as caught:
        load_preset(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(caught.value)


def test_files_that_extend_each_other_in_a_circle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(MuseError, match=r"a.yaml extends itself"):
        load_preset(str(tmp_path / "a.yaml"))


def test_a_stage_that_the_preset_does_not_have_means_every_one() -> None:
    steps = [
        each.steps for each in load_preset("tiny", "stage.steps=7", "05_evaluation").curriculum
    ]
    assert steps == [7, 7, 7]


def test_a_file_stands_for_smoke_where_the_environment_says_so(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "micro.yaml").write_text("extends: tiny\nimage_size: 32\n")
    monkeypatch.setenv("MUSE_SMOKE_PRESET", str(tmp_path / "micro.yaml"))
    assert load_preset("smoke").image_size == 32 and load_preset("tiny").image_size == 64


def test_words_and_quotations_are_parsed_as_a_shell_does() -> None:
    assert parse("a=1  b.c='x y'") == {"a": "1", "b.c": "x y"}
    assert parse("") == {}


def test_short_words_stand_for_paths_that_exist() -> None:
    for word in ("steps", "batch_size", "routing", "teacher", "order", "trackers", "drawn"):
        assert shorthand(word)
    assert shorthand("seed") is None
    for path in ("steps", "bad_steps"):
        apply(tiny(), {shorthand(path): "3"})


def test_the_model_of_a_preset_goes_and_comes_back() -> None:
    wide = load_preset("tiny", "connector.width=192 routing=shared")
    assert with_model(tiny(), model_of(wide)) == replace(
        tiny(), connector=wide.connector, routing="shared"
    )


def test_what_a_preset_file_names_is_sought_beside_it(tmp_path) -> None:
    (tmp_path / "sharp").mkdir()
    (tmp_path / "mine.yaml").write_text("extends: tiny\nteacher: sharp\nbackbone: owner/name\n")
    parts = load_preset(str(tmp_path / "mine.yaml")).foundations
    assert (parts.teacher, parts.backbone) == (str(tmp_path / "sharp"), "owner/name")


def test_layers_of_another_teacher_may_be_named_before_it() -> None:
    for overrides in (
        "teacher=timm:x foundations.teacher_layers=1,2",
        "foundations.teacher_layers=1,2 teacher=timm:x",
    ):
        assert load_preset("tiny", overrides).foundations.teacher_layers == (1, 2)


def test_a_run_goes_with_its_workspace(tmp_path, monkeypatch) -> None:
    for name in ("before", "after"):
        (tmp_path / name / "data/foundations/tiny/teacher").mkdir(parents=True)
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path / "before"))
    model = model_of(tiny())
    assert model["foundations.teacher"] == "data/foundations/tiny/teacher"
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path / "after"))
    moved = with_model(tiny(), model).foundations.teacher
    assert moved == str(tmp_path / "after/data/foundations/tiny/teacher")
