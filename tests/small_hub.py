"""A Hugging Face hub with one data set, owner/pictures, on this machine: what its client asks for,
and no more.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME, REVISION = "owner/pictures", "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def small_hub(folder: Path) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """(its address, which grows with every answer: a list of each file that was read from and how
    many bytes).
    """
    sent: list[tuple[str, int]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, sent))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(folder: Path, sent: list[tuple[str, int]]) -> type[BaseHTTPRequestHandler]:
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            about, content = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/"
            if path.startswith(f"{about}/tree/"):
                self.answer(
                    200, _listed(files, path.removeprefix(f"{about}/tree/").partition("/")[2])
                )
            elif path.startswith(about):
                self.answer(
                    200,
                    {
                        "id": NAME,
                        "sha": REVISION,
                        "siblings": [{"rfilename": name} for name in files],
                    },
                )
            elif (
                path.startswith(content)
                and (name := path.removeprefix(content).partition("/")[2]) in files
            ):
                self.send_file(name)
            else:
                self.answer(404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION})

        def send_file(self, name: str) -> None:
            content = files[name].read_bytes()
            first, _, last = (
                self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            part = content[int(first) : int(last) + 1 if last else None]
            place = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
            self.answer(
                206, part, {"ETag": '"0"', "X-Repo-Commit": REVISION, "Content-Range": place}
            )
            sent.append((name, len(part)))

        def answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _listed(files: dict[str, Path], folder: str) -> list[dict[str, Any]]:
    """A folder's own files and folders, as the hub lists them."""
    start = f"{folder}/" if folder else ""
    below = [name for name in files if name.startswith(start)]
    folders = dict.fromkeys(
        start + name[len(start) :].split("/")[0] for name in below if "/" in name[len(start) :]
    )
    own = [name for name in below if "/" not in name[len(start) :]]
    return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in folders] + [
        {"type": "file", "oid": "0" * 40, "size": files[name].stat().st_size, "path": name}
        for name in own
    ]
