"""A Hugging Face hub on this machine that takes uploads of models and gives them back: what its
client asks for, and no more.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from huggingface_hub import ModelCard

REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def model_hub(folder: Path, refuses: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(its address, which grows with every commit: a list of their heads). Files of OWNER/NAME land
    in ``folder``/OWNER/NAME; ``refuses``: the owner whose repositories it forbids to make.
    """
    commits: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, refuses, commits))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", commits
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(
    folder: Path, refuses: str, commits: list[dict[str, Any]]
) -> type[BaseHTTPRequestHandler]:
    large: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            path, body = unquote(urlsplit(self.path).path), self.read()
            if path == "/api/validate-yaml":
                card = ModelCard(json.loads(body)["content"])
                wrong = [] if card.data.license else [{"message": "no licence"}]
                self.answer(400 if wrong else 200, {"errors": wrong, "warnings": []})
            elif path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                if asked["organization"] == refuses:
                    self.answer(403, {"error": f"You have no right to create {name}"})
                else:
                    self.answer(200, {"url": f"{self.address()}/{name}", "name": name})
            elif path.endswith("/preupload/main"):
                named = [each["path"] for each in json.loads(body)["files"]]
                kind = lambda name: "lfs" if name.endswith(".safetensors") else "regular"
                modes = [{"path": name, "uploadMode": kind(name)} for name in named]
                self.answer(200, {"files": [mode | {"shouldIgnore": False} for mode in modes]})
            elif path.endswith("/info/lfs/objects/batch"):
                upload = lambda oid: {"upload": {"href": f"{self.address()}/lfs/{oid}"}}
                objects = json.loads(body)["objects"]
                told = [each | {"actions": upload(each["oid"])} for each in objects]
                self.answer(200, {"transfer": "basic", "objects": told})
            elif path.endswith("/commit/main"):
                name = path.removeprefix("/api/models/").removesuffix("/commit/main")
                self.commit(folder / name, [json.loads(line) for line in body.splitlines()])
                made = f"{self.address()}/{name}/commit/{REVISION}"
                self.answer(200, {"success": True, "commitOid": REVISION, "commitUrl": made})
            else:
                self.answer(404, {})

        def do_PUT(self) -> None:
            content = self.read()
            assert hashlib.sha256(content).hexdigest() == self.path.rpartition("/")[2]
            large[self.path.rpartition("/")[2]] = content
            self.answer(200, {})

        def commit(self, place: Path, lines: list[dict[str, Any]]) -> None:
            for line in lines:
                value = line["value"]
                if line["key"] == "header":
                    commits.append(value)
                    continue
                is_large = line["key"] == "lfsFile"
                content = large[value["oid"]] if is_large else base64.b64decode(value["content"])
                (place / value["path"]).parent.mkdir(parents=True, exist_ok=True)
                (place / value["path"]).write_bytes(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            name, _, rest = unquote(urlsplit(self.path).path).partition("/resolve/")
            file = folder / name.strip("/") / rest.partition("/")[2]
            if rest and file.is_file():
                content = file.read_bytes()
                tag = f'"{hashlib.sha256(content).hexdigest()}"'
                self.answer(200, content, {"ETag": tag, "X-Repo-Commit": REVISION})
            else:
                known = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION}
                self.answer(404, {}, known)

        def address(self) -> str:
            return f"http://{self.headers['host']}"

        def read(self) -> bytes:
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
