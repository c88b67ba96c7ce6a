"""What the notebook ``studies/one_run`` does around its story: one run of a study, from nothing to
its row of figures.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.config.curriculum import Changes
from muse_core.config.parameters import StudyRunParameters
from muse_core.config.preset import FoundationChoice, Preset
from muse_core.config.stage import Stage
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.evaluate import Evaluated, evaluate, to_stored
from muse_core.evaluation.feature_extractors import TokenizerExtractor
from muse_core.evaluation.gradients.geometry_recorder import GeometryRecorder
from muse_core.evaluation.gradients.geometry_records import GeometryAtStep, read_geometry
from muse_core.evaluation.protocol import Protocol, open_protocol
from muse_core.notebook import print_setup
from muse_core.results.records import read_json, read_jsonl
from muse_core.results.tensor_files import write_stored
from muse_core.training.loop import train_stage
from muse_core.training.stage_run import StageRun
from muse_core.training.teachers import load_teachers
from muse_core.training.trainer import accelerator_for

RECORDER = "gradient geometry"
EVALUATION_SEED = 0
"""Of probes and bootstrap: the same for all runs, so that only training differs."""


@dataclass
class StudyRun:
    """One run about to be trained and measured; ``stages`` in the order of its curriculum."""

    parameters: StudyRunParameters
    preset: Preset
    stages: list[StageRun]
    protocol: Protocol
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def train(self) -> dict[str, dict[str, Any]]:
        """Train the stages that are not finished yet, with the recorder; stage name -> record."""
        for stage in self.stages:
            if not finished(stage):
                train_stage(stage, observers=self._observers(stage))
            else:
                print(f"{stage.stage} is finished already")
            self.records[stage.stage] = read_json(stage.record_file)
        return self.records

    def _observers(self, stage: StageRun) -> dict[str, GeometryRecorder]:
        every = self.parameters.geometry_every
        file = geometry_file(stage.run, stage.stage)
        return {RECORDER: GeometryRecorder(file, self.protocol.test, every)} if every else {}

    def measure(self) -> Evaluated:
        """Measure the finished tokenizer, and keep its row where studies look for it."""
        run, device = self.parameters.run, accelerator_for(self.parameters.device).device
        extractor = TokenizerExtractor.from_pretrained(
            run, self.stages[-1].tokenizer_folder, device
        )
        evaluated = evaluate(extractor, self.protocol, Cache(paths.run_folder(run) / "evaluation"))
        write_stored(row_file(run), to_stored(evaluated))
        return evaluated

    def losses(self) -> dict[str, list[dict[str, Any]]]:
        """Stage name -> rows of its metrics file."""
        return {stage.stage: list(read_jsonl(stage.metrics_file)) for stage in self.stages}

    def geometry(self) -> dict[str, list[GeometryAtStep]]:
        """Stage name -> the recorder's measurements."""
        return {
            stage.stage: read_geometry(geometry_file(stage.run, stage.stage))
            for stage in self.stages
        }

    def overhead(self) -> float | None:
        """The recorder's time as a share of the training's; None where it did not run."""
        took = sum(
            (record["observers"].get(RECORDER, 0.0) for record in self.records.values()), 0.0
        )
        return took / sum(record["seconds"] for record in self.records.values()) if took else None


def begin_study_run(**parameters: Any) -> StudyRun:
    """Check the parameters, open data and networks, print where and on what it runs.

    Raises MuseError, one sentence, for a wrong parameter.
    """
    checked = StudyRunParameters.check(**parameters)
    stages = stage_runs(checked)
    preset = stages[0].load_preset()
    for stage in stages:
        stage.load_stage()
    device = accelerator_for(checked.device).device
    preset = replace(
        preset,
        probe_images=checked.train_images or preset.probe_images,
        held_out_images=checked.test_images or preset.held_out_images,
    )
    train, test = (
        open_source(checked.data, split, preset.image_size) for split in ("train", "test")
    )
    protocol = open_protocol(preset, train, test, load_teachers(preset, device), EVALUATION_SEED)
    steps = " + ".join(str(stage.load_stage().steps) for stage in stages)
    print_setup(
        checked.preset,
        str(device),
        data=f"{checked.data}, {len(train):,} train",
        steps=steps,
        images=protocol.images_used,
    )
    return StudyRun(checked, preset, stages, protocol)


def stage_runs(checked: StudyRunParameters) -> list[StageRun]:
    """The run's stages. Raises MuseError for an unknown preset, routing or change."""
    changes = Changes(checked.order, checked.without, checked.anchoring, checked.surgery)
    shared = dict(
        run=checked.run,
        preset=checked.preset,
        data=checked.data,
        routing=checked.routing,
        seed=checked.seed,
        device=checked.device,
        changes=changes,
        share=checked.share,
        foundations=checked.foundations,
        resume=True,
    )
    whole = StageRun(stage="", **shared)
    return [replace(whole, stage=stage.name) for stage in whole.load_preset().curriculum]


def geometry_file(run: str, stage: str) -> Path:
    """Where the recorder writes."""
    return paths.records_folder(run) / f"geometry_{stage}.jsonl"


def row_file(run: str) -> Path:
    """Where a run of a study keeps its row of figures; `evaluate.from_stored` reads it."""
    return paths.records_folder(run) / "row.safetensors"


def finished(stage: StageRun) -> bool:
    """Whether the stage was trained already. Raises MuseError where it was, with other parameters."""
    if not (stage.record_file.exists() and (stage.tokenizer_folder / "config.json").exists()):
        return False
    unsaid = {"foundations": vars(FoundationChoice())}  # in records older than the choice
    record, wanted = unsaid | read_json(stage.record_file), _facts(stage, stage.load_stage())
    for name, value in wanted.items():
        if record.get(name) != value:
            raise MuseError(
                f"Run {stage.run!r} was trained with {name}={record.get(name)!r}, and these parameters say {value!r}: use "
                f"another run name, or delete data/runs/{stage.run} and reports/{stage.run}."
            )
    return True


def _facts(run: StageRun, stage: Stage) -> dict[str, Any]:
    return {
        "stage": run.stage,
        "preset": run.preset,
        "data": run.data,
        "routing": run.routing,
        "seed": run.seed,
        "steps": stage.steps,
        "batch_size": stage.batch_size,
        "changes": vars(run.changes),
        "foundations": vars(run.foundations),
    }
