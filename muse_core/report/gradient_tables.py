"""What notebook 06 shows of a study: the recorder's measurements as the arrays that its figures
take.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from muse_core.config.stage import Loss, Stage
from muse_core.errors import MuseError
from muse_core.evaluation.gradients.geometry_records import GeometryAtStep, joint_cosine
from muse_core.evaluation.gradients.gradient_geometry import (
    KINDS,
    GradientGeometry,
    PairGeometry,
    Place,
)
from muse_core.models.backbone_routes import HEARS, BackbonePart
from muse_core.models.gradient_routes import Routing, WeightGroup, may_reach, routing_named
from muse_core.report.study_results import StudyResults, finite
from muse_core.training.gradient_surgery import TASKS

PAIRS = {
    "pixels and semantics": ("pixels", "semantics"),
    "pixels and topology": ("pixels", "topology"),
    "topology and semantics": ("semantics", "topology"),
}
"""Panels -> the two tasks compared, as the recorder orders them."""

ATTENTION_KINDS = {"W_Q": "W_Q", "W_K": "W_K", "W_V": "W_V semantic"}
"""The projections of an attention that routes nothing -> their kind in the records (its one W_V is
the semantic one).
"""

GROUPS = {
    "W_Q": WeightGroup.QUERY_KEY,
    "W_K": WeightGroup.QUERY_KEY,
    "W_V semantic": WeightGroup.SEMANTIC_VALUE,
    "W_V texture": WeightGroup.TEXTURE,
    "W_O": WeightGroup.TEXTURE,
    "FFN": WeightGroup.TEXTURE,
}
GROUPS |= {str(part): WeightGroup.BACKBONE for part in BackbonePart}
"""Kinds in a block or the backbone -> their group in the routing table."""


@dataclass(frozen=True)
class RouteShares:
    """``intended`` and ``measured`` (tasks, kinds) of one stage: whether the table opens a cell,
    and the mean share of the task's gradient energy that arrived there; 0.0 means that every
    measurement of every seed was exactly zero."""

    stage: str
    tasks: list[str]
    kinds: list[str]
    intended: np.ndarray
    measured: np.ndarray

    @property
    def leaks(self) -> list[str]:
        """The closed cells in which anything at all arrived."""
        found = np.argwhere(~self.intended & (self.measured > 0))
        return [f"{self.tasks[row]} in {self.kinds[column]}" for row, column in found]


@dataclass(frozen=True)
class CosineSummary:
    """A cosine over measurements and seeds: ``mean``, ``low`` and ``high`` (10th and 90th
    percentile), share below zero.
    """

    mean: float
    low: float
    high: float
    negative: float
    n: int

    @property
    def sentence(self) -> str:
        return (
            f"{self.n} measurements: mean {self.mean:+.3f}, four fifths of them between {self.low:+.3f} and {self.high:+.3f}, "
            f"{self.negative:.0%} below zero."
        )


def cosine_summary(values: np.ndarray) -> CosineSummary:
    """Over all finite values (seeds, s). Raises MuseError where there is none."""
    held = values[np.isfinite(values)]
    if not len(held):
        raise MuseError(
            "No cosine was measured: give geometry_every a number of steps in the study's file."
        )
    low, high = np.percentile(held, [10, 90])
    return CosineSummary(
        float(held.mean()), float(low), float(high), float((held < 0).mean()), len(held)
    )


FAR_BELOW_ZERO = -0.1
"""What we let the paper's "cosine far below zero" mean; it gives no number."""


def conclusions(
    along: CosineSummary, medians: dict[str, dict[str, float]], left: dict[str, tuple[float, float]]
) -> list[str]:
    """What the pictures show, in sentences that follow their numbers."""
    fights = along.mean < FAR_BELOW_ZERO
    semantic, structural = (
        medians["semantics"]["W_V"],
        medians["topology"]["W_Q"] + medians["topology"]["W_K"],
    )
    chosen = [semantic > 0.5, structural > 0.5]
    return [
        f"Shared routing: pixels and semantics meet at a mean cosine of {along.mean:+.3f} (below zero {along.negative:.0%} of "
        f"the time). The paper's conflict far below zero is {'reproduced' if fights else '<b>not</b> reproduced'} at this scale.",
        "Orthogonal routing: in the blocks they share no weight at all, so there is no cosine to speak of: by construction, and "
        "measured to be exactly so.",
        f"In the unrouted model W_V gets {semantic:.0%} of the semantic energy and W_Q, W_K get {structural:.0%} of the "
        f"structural one (medians over blocks): the inclination the paper sees is "
        f"{'there' if all(chosen) else 'there for one of the two' if any(chosen) else 'not there'}.",
        f"In the trunk, which stage 3 leaves open, pixels and semantics meet at {left['full'][0]:+.3f} with orthogonal and "
        f"{left['shared'][0]:+.3f} with shared routing.",
    ]


def cosines_along_training(
    results: StudyResults, row: str, pair: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Steps (s,) and cosines in the blocks (seeds, s); not-a-number where no weight hears both."""
    runs = [
        [(stage.starts + each.step, each) for stage in run for each in stage.rows]
        for run in results.geometry(row)
    ]
    steps = sorted(set.intersection(*({step for step, _ in run} for run in runs)))
    values = [[joint_cosine(dict(run)[step].geometry, pair) for step in steps] for run in runs]
    return np.array(steps, dtype=float), np.stack([finite(each) for each in values])


def stage_starts(results: StudyResults, row: str) -> dict[str, int]:
    """Stage -> the steps done before it."""
    return {stage.stage: stage.starts for stage in results.geometry(row)[0]}


def energy_shares(results: StudyResults, row: str) -> dict[str, dict[str, np.ndarray]]:
    """Projection -> task -> its share of the task's energy on W_Q, W_K and W_V of a block, one
    sample a block and measurement.
    """
    found: dict[str, dict[str, list[float]]] = {
        name: {"semantics": [], "topology": []} for name in ATTENTION_KINDS
    }
    for each in _measurements(results, row):
        for task in ("semantics", "topology"):
            for block in _blocks(each.geometry):
                held = {
                    name: each.geometry.energy[task][Place(kind, block)]
                    for name, kind in ATTENTION_KINDS.items()
                }
                total = sum(held.values())
                for name, energy in held.items() if total else ():
                    found[name][task].append(energy / total)
    return {
        name: {task: np.array(values) for task, values in by_task.items()}
        for name, by_task in found.items()
    }


def cosine_samples(
    results: StudyResults, rows: Sequence[str], pair: tuple[str, str]
) -> dict[str, dict[str, np.ndarray]]:
    """Kind of weight -> row -> \\|cosine\\| of the pair, one sample a block and measurement; none
    where no weight hears both.
    """
    return {
        kind: {
            row: np.array(
                [
                    abs(found.cosine)
                    for each in _measurements(results, row)
                    for place, found in each.geometry.pairs[pair].items()
                    if place.kind == kind and found.cosine is not None
                ]
            )
            for row in rows
        }
        for kind in KINDS
    }


def route_shares(results: StudyResults, row: str, stage: Stage) -> RouteShares:
    """The routing table of a row in one stage, intended and measured."""
    runs = [
        found.rows for run in results.geometry(row) for found in run if found.stage == stage.name
    ]
    measured = [each.geometry for rows in runs for each in rows]
    kinds = [
        kind
        for kind in dict.fromkeys((*KINDS, *map(str, WeightGroup)))
        if any(_has(found, kind) for found in measured)
    ]
    tasks = list(TASKS)
    routing = routing_named(str(results.study.spec.rows[row].change.get("routing", "orthogonal")))
    shares = [
        [np.mean([_share(found, task, kind) for found in measured]) for kind in kinds]
        for task in tasks
    ]
    fields = (stage.trunk_hears, stage.trains_backbone, routing)
    opened = [
        [any(_opens(loss, kind, *fields) for loss in TASKS[task]) for kind in kinds]
        for task in tasks
    ]
    return RouteShares(stage.name, tasks, kinds, np.array(opened), np.array(shares))


def _opens(
    loss: Loss, kind: str, trunk_hears: frozenset[Loss], trains_backbone: bool, routing: Routing
) -> bool:
    """Whether the routing table lets a loss into a kind of weight."""
    if (
        kind in set(BackbonePart)
        and routing.backbone_split
        and loss not in HEARS[BackbonePart(kind)]
    ):
        return False
    return may_reach(
        loss, GROUPS.get(kind) or WeightGroup(kind), trunk_hears, trains_backbone, routing
    )


def trunk_layers(results: StudyResults, row: str) -> dict[str, Callable[[Place], bool]]:
    """Name -> which places belong to it: the backbone's layers from first to last, then adapter and
    queries.
    """
    places = {
        place for each in _last_stage(results, row) for place in each.geometry.energy["pixels"]
    }
    depths = sorted({place.block for place in places if _in_backbone(place) and place.block >= 0})
    layers = {f"layer {depth}": _layer(depth) for depth in depths}
    return layers | {"adapter, queries": lambda place: place.kind == WeightGroup.TRUNK}


def trunk_cosines(
    results: StudyResults, row: str
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pair -> mean, 10th and 90th percentile (layers,) of its cosine in the trunk, over the
    measurements of the last stage.
    """
    layers, measured = trunk_layers(results, row), _last_stage(results, row)
    return {
        words: tuple(np.array([_spread(measured, pair, at) for at in layers.values()]).T)
        for words, pair in PAIRS.items()
    }


def _spread(
    measured: Sequence[GeometryAtStep], pair: tuple[str, str], at: Callable[[Place], bool]
) -> list[float]:
    """Mean, 10th and 90th percentile of a cosine; not-a-number where no weight there hears both."""
    values = finite([joint_cosine(each.geometry, pair, at) for each in measured])
    held = values[np.isfinite(values)]
    return (
        [float(held.mean()), *np.percentile(held, [10, 90]).tolist()] if len(held) else [np.nan] * 3
    )


def trunk_conflict(results: StudyResults, row: str, pair: tuple[str, str]) -> tuple[float, float]:
    """Over the whole trunk in the last stage: mean cosine, and mean fraction of coordinates with
    opposite signs a layer.
    """
    measured = _last_stage(results, row)
    cosines = [joint_cosine(each.geometry, pair, _in_trunk) for each in measured]
    signs = [
        each.conflict
        for found in measured
        for each in _trunk_pairs(found, pair)
        if each.conflict is not None
    ]
    return float(np.nanmean(finite(cosines))), float(np.mean(signs)) if signs else 0.0


def _trunk_pairs(found: GeometryAtStep, pair: tuple[str, str]) -> Iterator[PairGeometry]:
    return (each for place, each in found.geometry.pairs[pair].items() if _in_trunk(place))


def _measurements(results: StudyResults, row: str) -> list[GeometryAtStep]:
    return [each for run in results.geometry(row) for stage in run for each in stage.rows]


def _last_stage(results: StudyResults, row: str) -> list[GeometryAtStep]:
    return [each for run in results.geometry(row) for each in run[-1].rows]


def _blocks(found: GradientGeometry) -> list[int]:
    return sorted({place.block for place in found.energy["pixels"] if place.kind in KINDS})


def _has(found: GradientGeometry, kind: str) -> bool:
    return any(place.kind == kind for place in found.energy["pixels"])


def _share(found: GradientGeometry, task: str, kind: str) -> float:
    return sum(
        (found.share(task, place) for place in found.energy[task] if place.kind == kind), 0.0
    )


def _in_backbone(place: Place) -> bool:
    return place.kind.startswith(str(WeightGroup.BACKBONE))


def _in_trunk(place: Place) -> bool:
    return _in_backbone(place) or place.kind == WeightGroup.TRUNK


def _layer(depth: int) -> Callable[[Place], bool]:
    return lambda place: _in_backbone(place) and place.block == depth
