"""A run that trains nothing: where it would lie, for tests of what is written there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SmallRun:
    """Everything lies under ``place``."""

    place: Path
    run: str = "mine"
    stage: str = "01_topology_warmup"
    seed: int = 0
    resume: bool = False

    @property
    def folder(self) -> Path:
        return self.place / "runs" / self.stage

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def finished(self) -> Path:
        return self.folder / "tokenizer"

    @property
    def metrics_file(self) -> Path:
        return self.place / "stage.jsonl"

    def facts(self) -> dict[str, Any]:
        return {"seed": 0, "preset": "micro", "foundations": None, "changes": {"order": ""}}
