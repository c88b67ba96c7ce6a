"""Children that begin within moments: a server imports everything once and forks for each."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")


def begin(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start ``work`` in a child; the first call starts the server and takes seconds."""
    CONTEXT.set_forkserver_preload(["tests.torture.child"])
    process = CONTEXT.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def finish(process: BaseProcess, seconds: float) -> int:
    """Wait for the end and return the exit code. Raises TimeoutError, after killing it, for one
    that takes too long.
    """
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"process {process.pid} did not end within {seconds:.0f} s")
    return process.exitcode or 0
