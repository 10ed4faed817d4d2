"""What a user asks of the queue of deferred runs: what waits, what is dead, and try it again."""

from importlib import import_module
from typing import Any

from cellist.exceptions import ObjectNotFound
from cellist.model.deferred import hex_of
from cellist.model.ids import as_uuid
from cellist.worker.database import DEAD
from cellist.worker.futures import PrefectDistributedFuture, queue_path
from cellist.worker.queue import Queue

_COLUMNS = [
    *("task", "status", "why", "deliveries", "delivery", "queued", "ended", "waits_for", "id"),
    "key",
]


class QueueBrowser:
    """The queue of deferred runs of this project."""

    def entries(self, status: str | None = None, limit: int = 1000) -> Any:
        """Return deferred runs as a DataFrame, the newest first.

        `status` is `queued`, `taken` (a worker has it), `done` or `dead` (it cannot be carried
        out, or its worker was lost too often); `why` is the last word about the run, and
        `waits_for` how many other deferred runs it waits for.
        """
        pd: Any = import_module("pandas")  # heavy, and untyped
        queue = Queue(queue_path())
        rows = queue.jobs(status, limit)
        queue.close()
        for row in rows:
            row["id"] = str(as_uuid(int(row["id"], 16)))
        frame = pd.DataFrame(rows, columns=pd.Index(_COLUMNS))
        for name in ("queued", "ended"):
            frame[name] = pd.to_datetime(frame[name], unit="s", utc=True)
        return frame

    def dead(self) -> Any:
        """Return the dead letters: runs that nobody will carry out unless they are requeued."""
        return self.entries(DEAD)

    def requeue(self, *runs: Any) -> list[PrefectDistributedFuture[Any]]:
        """Queue dead letters again, by default all, and return their futures.

        `runs` are ids or futures. Raises `ObjectNotFound` for a run that is no dead letter.
        """
        queue = Queue(queue_path())
        chosen = [hex_of(run) for run in runs] or [row["id"] for row in queue.jobs(DEAD, 1 << 30)]
        found = [job.id for job in queue.requeue(chosen)]
        queue.close()
        missing = [run_id for run_id in chosen if run_id not in found]
        if missing:
            message = (
                f"Run {as_uuid(int(missing[0], 16))} is no dead letter. `cellist.queue.dead()` "
                "lists them."
            )
            raise ObjectNotFound(message)
        return [PrefectDistributedFuture(as_uuid(int(run_id, 16))) for run_id in found]

    def remove(self, *runs: Any) -> int:
        """Remove runs that are over, with what they gave, and return how many there were.

        Without `runs` the dead letters are removed.
        """
        queue = Queue(queue_path())
        chosen = [hex_of(run) for run in runs] or [row["id"] for row in queue.jobs(DEAD, 1 << 30)]
        gone = queue.remove(chosen)
        queue.close()
        return gone

    def workers(self) -> list[dict[str, Any]]:
        """Return the live workers: `client_id`, `tasks` (names by key), `since`."""
        queue = Queue(queue_path())
        found = queue.workers()
        queue.close()
        return found

    def __repr__(self) -> str:
        queue = Queue(queue_path())
        counts, workers = queue.counts(), len(queue.workers())
        queue.close()
        shown = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"cellist.queue({shown}, {workers} worker(s))"


queue = QueueBrowser()
"""The queue of deferred runs of this project."""

__all__ = ["QueueBrowser", "queue"]
