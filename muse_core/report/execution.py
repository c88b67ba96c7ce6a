"""One notebook executed by papermill in a kernel of its own, and what became of it in a word and a
sentence.
"""

import logging
from pathlib import Path
from typing import Any

from muse_core import paths

STARTS = 3  # two kernels that start at the same moment may choose the same port, and one of them never answers


def execute(source: Path, report: Path, parameters: dict[str, Any]) -> tuple[str, str]:
    """Execute ``source`` into ``report`` from the workspace's folder; a kernel that does not start
    is started again.

    Returns (status, error): "done", "failed" or "interrupted", and the reason in one sentence, ""
    when every cell ran."""
    import papermill
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    for _ in range(STARTS):
        try:
            _papermill(source, report, parameters)
        except papermill.PapermillExecutionError as error:
            return "failed", _sentence(error)
        except KeyboardInterrupt:
            return "interrupted", "interrupted from the keyboard; run it again to go on from here"
        except (DeadKernelError, CellControlSignal):
            return "failed", "the kernel died, perhaps for want of memory; try a smaller batch_size"
        except RuntimeError as error:
            if not str(error).startswith("Kernel"):
                raise
            reason = str(error)
        else:
            return "done", ""
    return (
        "failed",
        f"the kernel did not start in {STARTS} attempts ({reason}): stop other programs, then run it again",
    )


def _papermill(source: Path, report: Path, parameters: dict[str, Any]) -> None:
    import papermill

    report.unlink(missing_ok=True)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    papermill.execute_notebook(
        str(source),
        str(report),
        parameters=parameters,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        cwd=str(paths.root()),
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
    )


def _sentence(error: Any) -> str:
    """A MuseError is its own sentence; any other exception is named with its cell."""
    message = str(error.evalue).strip()
    if error.ename == "MuseError":
        return message
    return f"cell [{error.exec_count}] raised {error.ename}: {(message.splitlines() or [''])[0]}"
