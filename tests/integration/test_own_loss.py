"""A loss of one's own: from a notebook's cell into the plot and the record; changed, it trains
again.
"""

import json
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.training.launch import Launch
from muse_core.training.loss_terms import TERMS, LossTerm
from muse_core.training.trainer import Trainer

from .micro import PRESET, STAGES, after_each, borrow_stage, micro_run
from .own_loss import changed_cells


def test_a_user_adds_a_loss_and_halves_a_weight_in_notebook_02(whole, micro, monkeypatch) -> None:
    run = micro_run(STAGES[1], "own-loss")
    borrow_stage(run, STAGES[0])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    cells = [
        nbformat.v4.new_code_cell(source, id=name)
        for name, source in changed_cells("own-loss", PRESET).items()
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", timeout=300).execute()
    record = json.loads(run.files.record_file.read_text())
    assert "spread" in record["losses"]
    weights = record["configuration"]["stage"]["weights"]
    assert (weights["spread"], weights["topology"]) == (0.1, 0.5)
    (routes,) = (cell for cell in notebook.cells if cell.id == "routes-drawing")
    assert "spread" in json.dumps(routes.outputs[-1].data["application/vnd.plotly.v1+json"])
    (curves,) = (cell for cell in notebook.cells if cell.id == "train-curves")
    drawn = json.dumps(curves.outputs[-1].data["application/vnd.plotly.v1+json"])
    assert "spread" in drawn and record["held_out"]["psnr"] > 0


def own(body: str):
    """A loss whose body is typed, as in a cell."""
    namespace: dict = {"__name__": "cell"}
    exec(f"def mine(step):\n    return {body}\n", namespace)
    return LossTerm(namespace["mine"], row="pixels")


@pytest.mark.parametrize("body", ["step.output.latent.abs().mean()"])
def test_an_edited_body_trains_again_and_the_same_one_does_not(whole, micro, body) -> None:
    opened = micro_run(STAGES[0], "edited").open()
    stage = replace(opened.stage, weights={**opened.stage.weights, "mine": 0.1})

    def steps_of(term: LossTerm) -> int:
        steps: list[int] = []
        Trainer(
            opened.tokenizer(),
            stage,
            opened.train,
            opened.teachers,
            TERMS | {"mine": term},
            [after_each(lambda row: steps.append(row["step"]))],
            options=opened.options,
        ).fit()
        return len(steps)

    assert steps_of(own(body)) == 6
    assert steps_of(own(body)) == 0
    assert steps_of(own(body.replace("abs", "square"))) == 6


def test_a_trainer_trains_once_and_what_cannot_travel_is_refused(whole, micro) -> None:
    opened = micro_run(STAGES[0], "once").open()
    trainer = opened.trainer()
    trainer.fit()
    trainer.options = replace(trainer.options, fresh=True)
    with pytest.raises(MuseError, match=r"has trained 01_topology_warmup .* make a new one"):
        trainer.fit()
    elsewhere = replace(opened.options, run="elsewhere", seed=3, launch=Launch(2))
    two = Trainer(
        opened.tokenizer(), opened.stage, opened.train, opened.teachers, options=elsewhere
    )
    order = opened.named.order(two, two.files)
    assert (order.run.run, order.run.seed) == ("elsewhere", 3)
    two.data = Scenes("val", 32)
    with pytest.raises(MuseError, match="is given other data than 'scenes'"):
        opened.named.order(two, two.files)


@pytest.mark.long
def test_papermill_changes_rates_and_weights_and_refuses_a_misspelt_field(
    whole, micro, monkeypatch, tmp_path
) -> None:
    import papermill

    from .own_loss import NOTEBOOK

    run = micro_run(STAGES[1], "overridden")
    borrow_stage(run, STAGES[0])
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    overrides = "weights.topology=2 stage.learning_rate=1e-4"
    given = dict(run="overridden", preset=PRESET, device="cpu", overrides=overrides)
    options = dict(kernel_name="python3", progress_bar=False, cwd=str(tmp_path))
    papermill.execute_notebook(NOTEBOOK, tmp_path / "out.ipynb", given, **options)
    record = json.loads(run.files.record_file.read_text())
    assert record["overrides"] == overrides
    stage = record["configuration"]["stage"]
    assert (stage["weights"]["topology"], stage["learning_rate"]) == (2.0, 1e-4)
    wrong = given | {"overrides": "weights.topologie=2"}
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papermill.execute_notebook(NOTEBOOK, tmp_path / "out.ipynb", wrong, **options)
    assert caught.value.ename == "MuseError"
    assert "There is no loss 'topologie' (did you mean topology?)" in caught.value.evalue
