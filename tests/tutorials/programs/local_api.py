"""A web service on this machine for programs that fetch things."""

import json
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ISSUES = {
    "ada/engine": [("lovelace", 3), ("babbage", 4), ("lovelace", 2)],
    "alan/machine": [("turing", 5), ("lovelace", 1)],
    "grace/compiler": [("hopper", 8)],
}
"""The repositories: pages of issues, each with its user and how many are open."""


class Api:
    """What the service knows, and what it was asked."""

    def __init__(self, at_once: int = 1) -> None:
        self.full = threading.Barrier(at_once)
        """Requests for issues are answered when so many have come."""
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, list[int]] = {}
        """For a path, the status codes of its next answers; the last one stays."""
        self.url = ""

    def answer(self, path: str) -> tuple[int, object]:
        """Return status and content for a path with its query."""
        self.asked[path] += 1
        parts = urlsplit(path)
        if parts.path in self.answers:
            codes = self.answers[parts.path]
            code = codes.pop(0) if len(codes) > 1 else codes[0]
            return code, {"path": parts.path, "code": code}
        if parts.path.startswith("/repos/"):
            owner, name, *rest = parts.path.removeprefix("/repos/").split("/")
            pages = ISSUES[f"{owner}/{name}"]
            if not rest:
                return 200, {"name": f"{owner}/{name}", "pages": len(pages)}
            self.full.wait(timeout=60)
            page = int(parse_qs(parts.query)["page"][0])
            user, count = pages[page - 1]
            return 200, [{"user": user, "number": number} for number in range(count)]
        return 404, {"message": "not found"}


@contextmanager
def served(api: Api) -> Generator[str]:
    """Serve an API while the block runs; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = api.answer(self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
