"""Recorded gradients as arrays: planted geometry comes back as the numbers it was made of."""

from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.report.gradient_tables import (
    PAIRS,
    conclusions,
    cosine_samples,
    cosine_summary,
    cosines_along_training,
    energy_shares,
    route_shares,
    stage_starts,
    trunk_conflict,
    trunk_cosines,
    trunk_layers,
)
from muse_core.report.study_results import StudyResults

from .planted_study import planted_results

PIXELS_SEMANTICS = PAIRS["pixels and semantics"]
TOGETHER = -1.8 / 10**0.5
"""Cosine over the block: semantics also has energy 1 on W_Q, where pixels have none."""


@pytest.fixture
def results(workspace: Path) -> StudyResults:
    return planted_results(workspace)


def test_steps_run_on_over_the_stages_and_every_seed_is_a_line(results: StudyResults) -> None:
    steps, values = cosines_along_training(results, "shared", PIXELS_SEMANTICS)
    assert stage_starts(results, "full") == {
        "01_topology_warmup": 0,
        "02_semantic_injection": 400,
        "03_synergistic_tuning": 700,
    }
    assert steps.tolist() == [0, 10, 20, 400, 410, 420, 700, 710, 720]
    assert values.shape == (2, 9) and np.allclose(values, TOGETHER, rtol=1e-5)
    assert np.isnan(cosines_along_training(results, "full", PIXELS_SEMANTICS)[1]).all()


def test_the_summary_counts_what_is_below_zero() -> None:
    found = cosine_summary(np.array([[-1.0, np.nan], [1.0, -0.5]]))
    assert (found.mean, found.n, found.negative) == (pytest.approx(-1 / 6), 3, pytest.approx(2 / 3))
    with pytest.raises(MuseError, match="geometry_every"):
        cosine_summary(np.array([np.nan]))


def test_energy_is_shared_among_the_three_projections(results: StudyResults) -> None:
    energy = energy_shares(results, "shared")
    assert np.allclose(energy["W_V"]["semantics"], 0.9) and np.allclose(
        energy["W_Q"]["topology"], 0.8
    )
    assert len(energy["W_K"]["topology"]) == 2 * 3 * 3 and not energy["W_K"]["topology"].any()


def test_boxes_hold_absolute_cosines_and_nothing_where_no_weight_hears_both(
    results: StudyResults,
) -> None:
    samples = cosine_samples(results, ["full", "shared"], PIXELS_SEMANTICS)
    assert (
        np.allclose(samples["W_V semantic"]["shared"], 0.6)
        and len(samples["W_V semantic"]["full"]) == 0
    )


def test_the_routing_table_is_intended_beside_measured(results: StudyResults) -> None:
    stages = [stage.load_stage() for stage in results.stages(results.done("full")[0])]
    closed, opened = (route_shares(results, "full", stage) for stage in (stages[1], stages[2]))
    cell = lambda table, task, kind: (
        bool(table.intended[table.tasks.index(task), table.kinds.index(kind)]),
        float(table.measured[table.tasks.index(task), table.kinds.index(kind)]),
    )
    assert cell(closed, "pixels", "W_V texture") == (True, pytest.approx(0.5))
    assert cell(closed, "semantics", "W_V texture") == (False, 0.0)
    assert cell(closed, "semantics", "adapter, queries") == (False, 0.0)
    assert cell(opened, "semantics", "backbone") == (True, pytest.approx(0.75))
    assert closed.leaks == [] == opened.leaks
    leaky = route_shares(results, "shared", stages[2])
    assert leaky.leaks == [] and leaky.intended.all(), "shared routing promises nothing"


def test_a_leak_is_named(results: StudyResults) -> None:
    stage = results.stages(results.done("full")[0])[2].load_stage()
    results.study.spec.rows["shared"].change.clear()
    leaks = route_shares(results, "shared", stage).leaks
    assert "semantics in W_Q" in leaks and "topology in W_V semantic" in leaks


def test_the_trunk_layer_by_layer(results: StudyResults) -> None:
    assert list(trunk_layers(results, "full")) == ["layer 0", "layer 1", "adapter, queries"]
    mean, low, high = trunk_cosines(results, "full")["pixels and semantics"]
    assert mean[:2].tolist() == pytest.approx([-1.0, 1.0]) and np.isnan(mean[2])
    assert np.allclose(low[:2], mean[:2]) and np.allclose(high[:2], mean[:2])
    cosine, conflict = trunk_conflict(results, "full", PIXELS_SEMANTICS)
    assert cosine == pytest.approx(1 / (2 * 3**0.5)) and conflict == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("mean", "words"), [(-0.4, "is reproduced"), (0.01, "is <b>not</b> reproduced")]
)
def test_conclusions_follow_the_numbers(mean: float, words: str) -> None:
    medians = {
        "semantics": {"W_Q": 0.1, "W_K": 0.1, "W_V": 0.8},
        "topology": {"W_Q": 0.2, "W_K": 0.1, "W_V": 0.7},
    }
    found = conclusions(
        cosine_summary(np.full((1, 4), mean)), medians, {"full": (0.1, 0.5), "shared": (0.2, 0.5)}
    )
    assert words in found[0] and "there for one of the two" in found[2]
