"""The status page of a worker: `GET /status` on the loopback address, as JSON."""

import json
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

HOST = "127.0.0.1"


def status_of(worker: Any) -> dict[str, Any]:
    """Return what the status page of a worker tells."""
    started = worker.started_at
    return {
        "client_id": worker.client_id,
        "started_at": started.isoformat() if started is not None else None,
        "stopping": worker.stopping,
        "limit": worker.limit,
        "current": worker.current_tasks,
        "available": worker.available_tasks,
        "tasks": sorted(worker.task_keys),
        "finished": dict(worker.finished_task_runs),
        "in_flight": {
            key: {str(run_id): began.isoformat() for run_id, began in list(runs.items())}
            for key, runs in list(worker.in_flight_task_runs.items())
            if runs
        },
    }


class StatusServer:
    """Serves the status of a worker from a thread of its own, within a `with` block."""

    def __init__(self, worker: Any, port: int = 0) -> None:
        self._worker = worker
        self._wanted = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None  # it was started
        return self._server.server_address[1]

    def start(self) -> None:
        """Begin to serve. Raises `OSError` naming the port if it cannot be had."""
        # Not with the module, which every session imports: it takes as long as a tenth of cellist.
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        worker = self._worker

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.partition("?")[0].rstrip("/") == "/status"
                body = json.dumps(status_of(worker) if found else {"detail": "Not Found"}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing of each request."""

        try:
            self._server = ThreadingHTTPServer((HOST, self._wanted), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error).rstrip(".")
            message = (
                f"The status page cannot be served on port {self._wanted} of {HOST}: {reason}. "
                "Choose another `status_server_port`, or 0 for any that is free."
            )
            number = getattr(error, "errno", None)
            raise (OSError(message) if number is None else OSError(number, message)) from None
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="cellist-status", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop serving."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def create_status_server(task_worker: Any, port: int = 0) -> StatusServer:
    """Return a server of a worker's status page, to be used in a `with` block."""
    return StatusServer(task_worker, port)
