"""Bundles: write the results a notebook needs into one file, and say whose files are trusted."""

import difflib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from cellist import api
from cellist.caching import trust as trusted
from cellist.caching.bundle_file import BundleFile, Line, write
from cellist.caching.envelope import BadEntry, Header
from cellist.caching.formats import DATA_ONLY, Encoded
from cellist.caching.signing import user_signer
from cellist.caching.store import ResultStore
from cellist.exceptions import BundleError, ObjectNotFound
from cellist.history.records import RunRecord
from cellist.model.locations import SUFFIX
from cellist.model.runs import Run
from cellist.session import get_session

_MB = 2**20
_LARGE, _TOO_LARGE = 50 * _MB, 100 * _MB


class Bundle(NamedTuple):
    """What is in a bundle: `entries` results, `pickles` of them only for those who trust it.

    `size` is in bytes, `digest` the SHA-256 of the manifest, by which a bundle is trusted.
    `signer` is a name for the key that signed it, the same for all bundles of one user;
    `is_own` says that it is yours, `is_trusted` that its pickles are loaded here.
    """

    path: Path
    entries: int
    pickles: int
    size: int
    digest: str
    tasks: tuple[str, ...]
    first: float
    last: float
    signer: str
    is_own: bool
    is_trusted: bool

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _signature(self) -> str:
        return f"signed as {self.signer}" if self.signer else "not signed"

    def _lines(self) -> list[str]:
        few = ", ".join(self.tasks[:5]) + (" and more" if len(self.tasks) > 5 else "")
        needs = f"{self.pickles} {'is a pickle' if self.pickles == 1 else 'are pickles'}"
        needs += ", which others load only if they trust the bundle"
        if not self.pickles:
            needs = "all load for everyone"
        whose = "you" if self.is_own else f"another user ({self._signature()})"
        state = "pickles are loaded" if self.is_trusted else "pickles are not loaded"
        entries = "1 entry" if self.entries == 1 else f"{self.entries} entries"
        first, last = _day(self.first), _day(self.last)
        return [
            f"Bundle {self.path}",
            f"  {entries} in {_size(self.size)}; {needs}",
            f"  of {few}, recorded {first}{'' if first == last else f' to {last}'}",
            f"  written by {whose}; {state}",
            f"  manifest {self.digest}",
        ]


def bundle(path: str | Path, tasks: Any = None) -> Bundle:
    """Write results into one file that others can use, and return what is in it.

    By default these are the results that were read or made in this session. `tasks` chooses
    others: tasks, or names of tasks, flows or runs, or records of runs; of a flow the latest run
    counts with all runs in it. Arrays, frames, text and JSON load for everybody; other results
    are pickles and load for those who trust the bundle. Beside its result an entry has what its
    key was made of: the source of the task and its helpers, and short forms of its arguments.

    Raises `BundleError` if there is nothing to write or the file cannot be written, and
    `ObjectNotFound` for a name that nothing goes by.
    """
    target = _target(path)
    session = get_session()
    stores = session.stores.all()
    for store in stores:
        store.flush(60)
    keys = _used(stores) if tasks is None else _chosen(stores, _several(tasks))
    if not keys:
        what = (
            "no cached result was read or made in this session"
            if tasks is None
            else ("nothing of it is in the store")
        )
        raise BundleError(f"There is nothing to write to `{target.name}`: {what}.")

    def load(key: str) -> tuple[Header, Encoded] | None:
        return next(filter(None, (_encoded(store, key) for store in stores)), None)

    signer, sentence = user_signer()
    if sentence:
        session.warn(sentence)
    written = write(target, keys, load, signer)
    session.stores.bundles.look_again()
    if written.size > _LARGE:
        limit = (
            "accepts no files above 100 MB" if written.size > _TOO_LARGE else "warns above 50 MB"
        )
        session.warn(f"`{target.name}` has {_size(written.size)}: GitHub {limit}.")
    return _described(target, written.lines, written.size, written.digest, signer.id.hex(), True)


def trust(path: str | Path) -> Bundle:
    """Load the pickles of a bundle from now on, and return what is in it.

    Unpickling runs code that whoever wrote the bundle chose, so trust it only if you would run
    their notebook. Trust is in this very manifest: if one byte of it changes, it is gone. Raises
    `BundleError` if the file cannot be read or the trust cannot be written down.
    """
    file = _opened(path)
    try:
        trusted.trust(file.digest, file.path)
    except (OSError, RuntimeError) as error:
        message = f"The trust in `{path}` cannot be written down: {error}."
        raise BundleError(message) from error
    get_session().stores.bundles.look_again()
    return _of(file)


def untrust(path: str | Path) -> int:
    """Load no more pickles of a bundle, and forget those that were copied into the store.

    `path` may also be the digest of its manifest. Returns how many results are forgotten. Raises
    `BundleError` if the bundle was not trusted.
    """
    where = _place(path)
    digests = {str(path)}
    if where.is_file():
        digests.add(_opened(path).digest)
    try:
        gone = trusted.withdraw(lambda one: one.digest in digests or one.path == str(where))
    except (OSError, RuntimeError) as error:
        message = f"The trust in `{path}` cannot be withdrawn: {error}."
        raise BundleError(message) from error
    if not gone:
        message = f"`{path}` was not trusted; `CELLIST_TRUST` may say so, which is yours to change."
        raise BundleError(message)
    session = get_session()
    session.stores.bundles.look_again()
    return sum(_forget_from(store, set(gone)) for store in session.stores.all())


def _forget_from(store: ResultStore, digests: set[str]) -> int:
    count = 0
    for entry in store.entries():
        if entry["format"] not in DATA_ONLY:
            loaded = _encoded(store, entry["key"])
            origin = loaded[0].get("bundle") if loaded else None
            if origin and origin[1] in digests:
                count += store.invalidate(key=entry["key"])
    return count


def _place(path: str | Path) -> Path:
    """Return where a bundle is; `analysis` may stand for `analysis.cellist`, as in `bundle`."""
    where = Path(path).expanduser().absolute()
    return where if where.suffix or where.is_file() else where.with_name(f"{where.name}{SUFFIX}")


def _opened(path: str | Path) -> BundleFile:
    where = _place(path)
    if not where.is_file():
        raise BundleError(f"There is no bundle `{where}`.")
    try:
        return BundleFile(where, user_signer()[0])
    except BundleError as error:
        raise BundleError(f"`{path}` is no bundle that can be used: {error}.") from error


def _of(file: BundleFile) -> Bundle:
    size = file.path.stat().st_size
    lines = list(file.lines.values())
    return _described(file.path, lines, size, file.digest, file.signer, file.is_own)


def _described(
    path: Path, lines: list[Line], size: int, digest: str, signer: str, is_own: bool
) -> Bundle:
    times = [line.created for line in lines] or [0.0]
    return Bundle(
        path,
        len(lines),
        sum(not line.is_data for line in lines),
        size,
        digest,
        tuple(sorted({_printable(line.task) for line in lines})),
        min(times),
        max(times),
        signer,
        is_own,
        is_own or trusted.is_trusted(digest),
    )


def _target(path: str | Path) -> Path:
    where = Path(path).expanduser().absolute()
    if where.suffix != SUFFIX:
        if where.suffix or where.name == SUFFIX:
            message = f"`{path}` must end in `{SUFFIX}`, such as `analysis{SUFFIX}`, to be found."
            raise BundleError(message)
        where = where.with_suffix(SUFFIX)
    if not where.parent.is_dir():
        raise BundleError(f"`{path}` cannot be written: there is no directory `{where.parent}`.")
    if where.is_dir():
        raise BundleError(f"`{path}` cannot be written: it is a directory.")
    return where


def _used(stores: list[ResultStore]) -> set[str]:
    return set[str]().union(*(store.used.copy() for store in stores))  # runs may add to them


def _several(tasks: Any) -> list[Any]:
    if isinstance(tasks, Iterable) and not isinstance(tasks, str):
        return list(cast("Iterable[Any]", tasks))
    return [tasks]


def _chosen(stores: list[ResultStore], wanted: list[Any]) -> set[str]:
    """Return the keys of the results of tasks and runs. Raises `ObjectNotFound`."""
    entries = [entry for store in stores for entry in store.entries()]
    keys: set[str] = set()
    for one in wanted:
        if isinstance(one, Run | RunRecord):
            keys |= _keys_of(api.run(one if isinstance(one, Run) else one.id))
            continue
        name = one if isinstance(one, str) else str(getattr(one, "name", one))
        found = {entry["key"] for entry in entries if name in (entry["task"], entry["task_key"])}
        keys |= found or _keys_of(_run(name, {str(entry["task"]) for entry in entries}))
    return keys


def _run(name: str, tasks: set[str]) -> RunRecord:
    try:
        return api.run(name)
    except ObjectNotFound:
        near = difflib.get_close_matches(name, sorted(tasks), 3, 0.5)
        hint = f" Near to it: {', '.join(near)}." if near else ""
        message = f"No task with cached results, no flow and no run goes by {name!r}.{hint}"
        raise ObjectNotFound(message) from None


def _keys_of(run: RunRecord) -> set[str]:
    keys = {run.cache_key} if run.cache_key is not None else set[str]()
    for child in run.children:
        keys |= _keys_of(api.run(child.id) if child.kind == "flow" else child)
    return keys


def _encoded(store: ResultStore, key: str) -> tuple[Header, Encoded] | None:
    try:
        return store.encoded(key)
    except BadEntry:
        return None


def _printable(text: str) -> str:
    """Return a name from a file without what could forge the lines it is shown in."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])


def _size(count: int) -> str:
    return f"{count / _MB:.1f} MB" if count >= _MB / 10 else f"{count / 1024:.1f} kB"


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


__all__ = ["Bundle", "bundle", "trust", "untrust"]
