"""Notebook 02 as a user changes it: a loss of one's own, and a weight halved."""

import json
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "02_semantic_injection.ipynb"
OWN = """
from dataclasses import replace
from muse_core.training.loss_terms import LossTerm

def spread(step):
    embeddings = F.normalize(step.output.embedding, dim=-1)
    return (embeddings @ embeddings.T).square().mean()

losses = TERMS | {"spread": LossTerm(spread, row="semantics")}
stage = replace(lab.stage, weights={**lab.stage.weights, "spread": 0.1, "topology": 0.5})
"""


def changed_cells(run: str, preset: str) -> dict[str, str]:
    """Cell id -> source of the notebook's code cells, with the user's changes."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}
    code["parameters"] += f"\nrun, preset, device = {run!r}, {preset!r}, 'cpu'\n"
    code["stage"] += OWN
    return code
