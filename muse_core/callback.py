"""`Callback`: what looks on while something trains, or adds to it between steps."""

from typing import Any


class Callback:
    """Hooks of `muse_core.training.trainer.Trainer.fit`; each does nothing until it is overridden.

    A hook may read anything of the trainer. It must leave weights and the random state as they are,
    so that training with it is bit for bit training without it.
    """

    name: str = ""
    """Under which its time is counted in the stage's record; the class's name where empty."""

    def on_train_begin(self, trainer: Any) -> None:
        """Before the first step; a resumed stage has its earlier rows in ``trainer.rows``."""

    def before_step(self, trainer: Any, step: int) -> None:
        """Before a step. ``step``: how many are done."""

    def on_batch(self, trainer: Any, step: int, batch: Any) -> None:
        """Before a step, with its batch."""

    def on_step(self, trainer: Any, row: dict[str, Any]) -> None:
        """After a step. ``row``: its line of the metrics file, with ``step`` counted from 1."""

    def on_train_end(self, trainer: Any) -> None:
        """After the last step, or the one at which the stage stopped."""
