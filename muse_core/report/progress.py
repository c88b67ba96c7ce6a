"""Progress bars in an executed notebook: of the hundreds of lines a bar left behind, the last one
is enough.
"""

import re
from typing import Any

BAR = re.compile(r"^\s*[^\n|]*\d+%\|.*\|.*\d+/\d+ \[.*\]\s*$")


def collapse_bars(notebook: dict[str, Any]) -> None:
    """Keep each cell's last line of every bar, in place, and drop streams that this leaves empty."""
    for cell in notebook.get("cells", []):
        streams = [
            output for output in cell.get("outputs", []) if output.get("output_type") == "stream"
        ]
        last: dict[str, tuple[int, int]] = {}
        lines = [_lines(output) for output in streams]
        for place, found in enumerate(lines):
            for row, line in enumerate(found):
                if BAR.match(line):
                    last[re.split(r"\d+%\|", line)[0].strip()] = (place, row)
        for place, (output, found) in enumerate(zip(streams, lines, strict=True)):
            kept = [
                line
                for row, line in enumerate(found)
                if not BAR.match(line) or (place, row) in last.values()
            ]
            output["text"] = "\n".join(kept) + "\n" if any(line.strip() for line in kept) else ""
        if streams:
            cell["outputs"] = [output for output in cell["outputs"] if output.get("text") != ""]


def _lines(output: dict[str, Any]) -> list[str]:
    return re.split(r"\r\n|\r|\n", "".join(output.get("text", "")).lstrip("\r").rstrip("\n"))
