"""Says whether an executed notebook still matches its source, the package, its parameters and what
came before.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import muse_core
from muse_core.report.stamps import executed, read_notebook, read_stamp, sources


def package_sha() -> str:
    """One hash of every source of muse_core."""
    folder = Path(muse_core.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".js")):
        digest.update(
            path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
        )
    return digest.hexdigest()


def source_sha(source: Path) -> str:
    """A hash of the notebook's cells: outputs, counts and a saved kernel name do not make a report
    stale.
    """
    cells = [
        (cell.get("cell_type"), "".join(cell.get("source", "")))
        for cell in read_notebook(source).get("cells", [])
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def key(source: Path, parameters: dict[str, Any], previous: str, package: str) -> str:
    """The hash that an executed notebook must carry to be up to date."""
    parts = [
        source_sha(source),
        package,
        json.dumps(parameters, sort_keys=True, default=str),
        previous,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def previous_key(source: Path, run_folder: Path) -> str:
    """The key of the nearest earlier notebook that was executed in this run; "" when there is none."""
    earlier = [path for path in executed(run_folder) if path.name < source.name]
    stamp = read_stamp(earlier[-1]) if earlier else None
    return stamp.key if stamp else ""


def expected_key(source: Path, parameters: dict[str, Any], run_folder: Path, package: str) -> str:
    return key(source, parameters, previous_key(source, run_folder), package)


def state(report: Path, package: str) -> str:
    """ "done", "stale", "failed", or "unfinished" for an executed notebook."""
    stamp = read_stamp(report)
    if stamp is None:
        return "unfinished"
    if stamp.status != "done":
        return stamp.status
    source = next((path for path in sources() if path.name == report.name), None)
    fresh = source is not None and stamp.key == expected_key(
        source, stamp.parameters, report.parent, package
    )
    return "done" if fresh else "stale"
