"""The public result store, and the options that say where and as what results are kept."""

import asyncio
import pickle
import shutil
import threading
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import diskcache
import pytest

from cellist import flow, task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE
from cellist.exceptions import ObjectNotFound, SerializationError
from cellist.locking.filesystem import FileSystemLockManager
from cellist.locking.memory import MemoryLockManager
from cellist.model.isolation import IsolationLevel
from cellist.results import (
    ResultRecord,
    ResultStore,
    get_result_store,
    should_persist_result,
)
from cellist.serializers import JSONSerializer, PickleSerializer
from cellist.session import CellistWarning, Session, use_session
from cellist.settings import temporary_settings
from tests.sessions import Recorder

pytestmark = pytest.mark.usefixtures("recorder")


class Bomb:
    """Says so if it is ever unpickled."""

    exploded = False

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    Bomb.exploded = True


def opened(path: Path, **settings: Any) -> Any:
    """A diskcache, whose types say less than it does."""
    return diskcache.Cache(path, **settings)


def stores(tmp_path: Path) -> dict[str, Any]:
    return {
        "path": tmp_path / "one",
        "text": str(tmp_path / "two"),
        "diskcache": opened(tmp_path / "three"),
        "store": ResultStore(result_storage=tmp_path / "four"),
        "project": None,
    }


@pytest.fixture(params=["path", "text", "diskcache", "store", "project"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = stores(tmp_path)
    yield made[request.param]
    made["diskcache"].close()


def key_of(state: Any) -> str:
    return state.state_details.cache_key


def another_kernel(session: Session) -> Any:
    """A session that has nothing in memory, over the same directory."""
    session.stores.flush()
    return use_session(Session(session.directory))


# The store by itself


def test_write_and_read(storage: Any) -> None:
    store = ResultStore(result_storage=storage)
    assert not store.exists("k")
    with pytest.raises(ObjectNotFound, match=r"under the key 'k'.*no result is stored"):
        store.read("k")
    value = {"list": [1, (2,)], "bytes": b"\0"}
    record = store.write(value, key="k")
    assert isinstance(record, ResultRecord)
    assert store.exists("k")
    read = store.read("k")
    assert read.result == value
    assert read.result is not value
    assert read.metadata.storage_key == "k"
    assert read.metadata.expiration is None
    assert read.expiration is None
    assert read.metadata.serializer == PickleSerializer()
    assert read.metadata.version
    assert store.delete("k")
    assert not store.exists("k")
    assert not store.delete("k")


def test_write_makes_a_key(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results", result_serializer="json")
    record = store.write((1, 2))
    again = ResultStore(tmp_path / "results").read(record.metadata.storage_key)
    assert again.result == [1, 2]
    assert again.metadata.serializer == JSONSerializer()


def test_expiration(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    later = datetime.now(UTC) + timedelta(hours=1)
    store.write(1, key="later", expiration=later)
    assert store.read("later").metadata.expiration == later
    store.write(1, key="past", expiration=datetime.now(UTC) - timedelta(seconds=1))
    assert not store.exists("past")
    with pytest.raises(ObjectNotFound, match="expired"):
        store.read("past")


def test_async_twins(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")

    async def main() -> None:
        await store.awrite([1], key="k")
        assert await store.aexists("k")
        assert (await store.aread("k")).result == [1]
        assert await store.aacquire_lock("k")
        assert await store.ais_locked("k")
        assert await store.ais_lock_holder("k")
        await store.awrite([2], key="k")
        assert not await store.await_for_lock("k", timeout=0.01)
        await store.arelease_lock("k")
        assert await store.await_for_lock("k", timeout=0)
        assert await store.adelete("k")

    asyncio.run(main())


@pytest.mark.parametrize("manager", ["default", "memory", "filesystem"])
def test_locks(tmp_path: Path, manager: str) -> None:
    given = {
        "default": None,
        "memory": MemoryLockManager(),
        "filesystem": FileSystemLockManager(tmp_path / "locks"),
    }[manager]
    store = ResultStore(tmp_path / "results", lock_manager=given)
    assert store.acquire_lock("k", holder="me", timeout=0)
    assert store.is_locked("k")
    assert store.is_lock_holder("k", "me")
    assert not store.is_lock_holder("k")
    assert not store.acquire_lock("k", timeout=0)
    with pytest.raises(RuntimeError, match="another holder has its lock"):
        store.write(1, key="k")
    store.write(1, key="k", holder="me")
    assert store.read("k", holder="me").result == 1
    found: list[Any] = []
    reading = threading.Thread(target=lambda: found.append(store.read("k").result))
    reading.start()
    assert not store.wait_for_lock("k", timeout=0.02)
    assert found == []
    store.release_lock("k", "me")
    reading.join(60)
    assert found == [1]
    with pytest.raises(ValueError, match="No lock"):
        store.release_lock("k")


def test_isolation_levels() -> None:
    store = ResultStore()
    assert all(store.supports_isolation_level(level) for level in IsolationLevel)
    with pytest.raises(ValueError, match="chaos"):
        store.supports_isolation_level("chaos")  # type: ignore[arg-type] - wrong on purpose


def test_options_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"directory or a diskcache\.Cache, got 5"):
        ResultStore(5)
    with pytest.raises(TypeError, match="lock_manager"):
        ResultStore(lock_manager="file")
    with pytest.raises(TypeError, match="task 'work'"):
        task(lambda: 1, name="work", result_storage=5)
    with pytest.raises(TypeError, match="flow 'whole'"):
        flow(lambda: 1, name="whole", result_storage=object())
    with (
        diskcache.FanoutCache(str(tmp_path / "fanout"), shards=2) as other,
        pytest.raises(TypeError, match="FanoutCache"),
    ):
        task(lambda: 1, result_storage=other)


def test_what_cannot_be_stored_is_said(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    with pytest.raises(SerializationError, match="lock"):
        store.write({"a": threading.Lock()}, key="k")
    assert not store.exists("k")


# Where results of tasks lie


def test_a_task_stores_where_it_is_told(recorder: Recorder, storage: Any, tmp_path: Path) -> None:
    t = task(lambda n: [n], name="t", cache_policy=INPUTS, result_storage=storage)
    state = t(1, return_state=True)
    assert state.name == "Completed"
    with another_kernel(recorder.session):
        again = t(1, return_state=True)
        assert (again.name, again.result()) == ("Cached", [1])
        assert ResultStore(storage).read(key_of(state)).result == [1]
        assert ResultStore(storage).read(key_of(state)).metadata.task == "t"
        elsewhere = t.with_options(result_storage=tmp_path / "elsewhere")
        assert elsewhere(1, return_state=True).name == "Completed"


def test_attributes_and_with_options(tmp_path: Path) -> None:
    t = task(lambda n: n, result_storage=tmp_path, result_serializer="json")
    assert t.result_storage == tmp_path
    assert t.result_serializer == "json"
    assert t.persist_result is True
    assert t.cache_result_in_memory is True
    other = t.with_options(result_storage=None, result_serializer=None)
    assert (other.result_storage, other.result_serializer, other.persist_result) == (None,) * 3
    assert t.with_options(cache_result_in_memory=False).cache_result_in_memory is False
    assert t.with_options(retries=1).result_storage == tmp_path
    f = flow(lambda: 1, result_storage=str(tmp_path), result_serializer="json")
    assert f.persist_result is True
    assert f.with_options(retries=1).result_storage == str(tmp_path)


def test_a_directory_of_the_users_keeps_its_files_in_git(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine")
    task(lambda n: n, cache_policy=INPUTS, result_storage=tmp_path)(1)
    assert not (tmp_path / ".gitignore").exists()
    task(lambda n: n, cache_policy=INPUTS, result_storage=tmp_path / "new")(1)
    assert (tmp_path / "new" / ".gitignore").exists()


def test_a_diskcache_keeps_its_settings_and_its_other_entries(
    recorder: Recorder, tmp_path: Path
) -> None:
    with opened(tmp_path / "d", size_limit=10**6, cull_limit=3) as cache:
        cache["mine"] = {"a": 1}
        cache.set("tagged", "text", tag="mine")
        t = task(lambda n: b"x" * n, name="t", cache_policy=INPUTS, result_storage=cache)
        small, large = t(10, return_state=True), t(100_000, return_state=True)
        recorder.session.stores.flush()
        assert len(cache) == 4
        assert all(isinstance(cache[key], bytes) for key in cache if key.startswith("cellist:"))
        store = recorder.session.stores.at(t.stored_in.place)  # type: ignore[union-attr] - it has a storage
        assert sorted(entry["key"] for entry in store.entries()) == sorted(
            [key_of(small), key_of(large)]
        )
        assert [known.header.get("task") for known in store.known(t.identity)] == ["t", "t"]
        assert store.clear() == 2
        assert cache["mine"] == {"a": 1}
        assert cache["tagged"] == "text"
    with opened(tmp_path / "d") as again:
        assert (again.size_limit, again.cull_limit) == (10**6, 3)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_damaged_diskcache_is_left_as_it_is(
    recorder: Recorder, tmp_path: Path, is_open: bool
) -> None:
    with opened(tmp_path / "d") as cache:
        t = task(lambda n: [n], name="t", cache_policy=INPUTS, result_storage=cache)
        if is_open:
            t(1)
            recorder.session.stores.flush()
    for name in ("cache.db-wal", "cache.db-shm"):
        (tmp_path / "d" / name).unlink(missing_ok=True)
    damaged = tmp_path / "d" / "cache.db"
    damaged.write_bytes(b"\xff" * 40_000)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert t(2) == [2]
        recorder.session.stores.flush()
    text = "\n".join(str(one.message) for one in told)
    assert text.count("It is yours, so it was left as it is") == 1
    assert "put aside" not in text
    assert damaged.read_bytes() == b"\xff" * 40_000
    assert t(2, return_state=True).name == "Cached"


def test_what_lies_in_a_diskcache_unsigned_is_never_unpickled(
    recorder: Recorder, tmp_path: Path
) -> None:
    with opened(tmp_path / "d") as cache:
        t = task(lambda n: [n], name="t", cache_policy=INPUTS, result_storage=cache)
        key = key_of(t(1, return_state=True))
        recorder.session.stores.flush()
        for evil in (Bomb(), pickle.dumps(Bomb()), [Bomb()] * 20_000):
            cache[f"cellist:{key}"] = evil
            with use_session(Session(recorder.session.directory)):
                with (
                    pytest.warns(CellistWarning, match="was not used"),
                    pytest.raises(ObjectNotFound),
                ):
                    ResultStore(cache).read(key)
                state = t(1, return_state=True)
                assert (state.name, state.result()) == ("Completed", [1])
        assert not Bomb.exploded


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_record_is_a_miss_with_one_warning(
    recorder: Recorder, tmp_path: Path, damage: str
) -> None:
    t = task(lambda n: [n], name="t", cache_policy=INPUTS, result_storage=tmp_path / "results")
    t(1)
    recorder.session.stores.flush()
    recorder.session.stores.close()
    with opened(tmp_path / "results", eviction_policy="none") as raw:
        (key,) = list(raw)
        blob = raw[key]
        changed = {
            "cut": blob[:-20],
            "flipped": blob[:-70] + bytes([blob[-70] ^ 1]) + blob[-69:],
            "foreign": pickle.dumps([1]),
        }
        raw[key] = changed[damage]
    with (
        use_session(Session(recorder.session.directory)),
        pytest.warns(CellistWarning, match="A stored result was not used") as caught,
    ):
        states = [t(1, return_state=True) for _ in range(2)]
    assert [state.name for state in states] == ["Completed", "Cached"]
    assert len(caught) == 1
    assert states[0].why.code in {"unreadable", "foreign"}


def test_results_need_not_stay_in_memory(recorder: Recorder) -> None:
    t = task(lambda n: [n], name="t", cache_policy=INPUTS, cache_result_in_memory=False)
    other = task(lambda n: (n,), name="o", cache_policy=INPUTS)
    for one in (t, other):
        one(1)
    recorder.session.stores.flush()
    held = {entry.header.get("task") for entry in recorder.session.store._memory.entries()}
    assert held == {"o"}
    assert t(1, return_state=True).name == "Cached"
    assert {entry.header.get("task") for entry in recorder.session.store._memory.entries()} == {"o"}


# Storage keys


def test_storage_key_templates() -> None:
    t = task(
        lambda x: x,
        name="t",
        result_storage_key="{task_run.task_name}-{flow_run.flow_name}-{parameters[x]}",
    )

    @flow(name="outer")
    def outer() -> list[Any]:
        return [t(1, return_state=True), t.submit(2, return_state=True)]

    assert [key_of(state) for state in outer.fn()] == ["t-None-1", "t-None-2"]

    @flow(name="inside")
    def inside() -> list[str]:
        return [key_of(t(1, return_state=True)), key_of(t.submit(2, return_state=True))]

    assert inside() == ["t-inside-1", "t-inside-2"]
    assert ResultStore().read("t-inside-2").result == 2


def test_storage_keys_of_coroutines() -> None:
    @task(name="t", result_storage_key="{flow_run.name}/{task_run.name}/{parameters[x][0]}")
    async def t(x: list[int]) -> int:
        return x[0]

    @flow(flow_run_name="here")
    async def whole() -> str:
        return key_of(await t.with_options(task_run_name="me")([5], return_state=True))

    assert asyncio.run(whole()) == "here/me/5"


def test_storage_key_turns_the_policy_off() -> None:
    t = task(lambda x: x, name="t", cache_policy=DEFAULT, result_storage_key="fixed")
    assert t.cache_policy is None
    assert t(1) == 1
    assert t(2, return_state=True).result() == 1  # the key does not depend on x
    again = t.with_options(result_storage_key=None)
    assert again.cache_policy is not None
    assert again(2) == 2


def test_a_template_that_does_not_fit_is_one_warning() -> None:
    t = task(lambda x: x, name="t", result_storage_key="{parameters[y]}")
    with pytest.warns(CellistWarning, match="KeyError: 'y'"):
        state = t(1, return_state=True)
    assert (state.result(), state.why.code) == (1, "key_error")
    assert t(2) == 2


# Records in a place of their own


@pytest.fixture
def split(tmp_path: Path) -> Any:
    policy = INPUTS.configure(key_storage=tmp_path / "keys")
    return task(lambda n: [n], name="t", cache_policy=policy, result_storage=tmp_path / "values")


def test_key_storage(recorder: Recorder, split: Any, tmp_path: Path) -> None:
    key = key_of(split(1, return_state=True))
    record = ResultStore(tmp_path / "keys").read(key)
    assert record.result["storage_key"] == key
    assert ResultStore(tmp_path / "values").read(key).result == [1]
    both = ResultStore(tmp_path / "values", metadata_storage=tmp_path / "keys")
    assert both.read(key).result == [1]
    assert split(1, return_state=True).name == "Cached"
    with another_kernel(recorder.session):
        assert split(1, return_state=True).name == "Cached"


def test_deleting_the_record_invalidates(recorder: Recorder, split: Any, tmp_path: Path) -> None:
    key = key_of(split(1, return_state=True))
    assert ResultStore(tmp_path / "keys").delete(key)
    assert ResultStore(tmp_path / "values").exists(key)
    assert split(1, return_state=True).name == "Completed"
    both = ResultStore(tmp_path / "values", metadata_storage=tmp_path / "keys")
    assert both.delete(key)
    assert ResultStore(tmp_path / "values").exists(key)
    assert split(1, return_state=True).name == "Completed"
    recorder.session.stores.flush()  # what is written meanwhile would keep the directory from going
    shutil.rmtree(tmp_path / "keys")
    with pytest.warns(CellistWarning, match="removed or replaced"):
        assert split(1, return_state=True).name == "Completed"


@pytest.mark.parametrize("what", ["gone", "damaged"])
def test_a_record_without_its_result_is_a_miss(
    recorder: Recorder, split: Any, tmp_path: Path, what: str
) -> None:
    key = key_of(split(1, return_state=True))
    if what == "gone":
        ResultStore(tmp_path / "values").delete(key)
    else:
        recorder.session.stores.close()
        with opened(tmp_path / "values", eviction_policy="none") as raw:
            raw[key] = raw[key][:-10]
    with use_session(Session(recorder.session.directory)):
        with pytest.warns(CellistWarning, match="A stored result was not used"):
            state = split(1, return_state=True)
        assert (state.name, state.result()) == ("Completed", [1])
        assert state.why.code in {"unreadable", "foreign"}
        assert split(1, return_state=True).name == "Cached"


def test_expired_records(tmp_path: Path) -> None:
    policy = INPUTS.configure(key_storage=str(tmp_path / "keys"))
    t = task(lambda n: n, name="t", cache_policy=policy, cache_expiration=1000)
    state = t(1, return_state=True)
    expiration = (
        ResultStore(None, metadata_storage=tmp_path / "keys").read(key_of(state)).expiration
    )
    assert expiration is not None
    assert 900 < (expiration - datetime.now(UTC)).total_seconds() <= 1000
    short = t.with_options(cache_expiration=0.01, refresh_cache=True)
    short(1)
    threading.Event().wait(0.02)
    assert t(1, return_state=True).why.code == "expired"


# Asking from inside


def test_should_persist_result() -> None:
    seen: list[Any] = []

    def look(n: int) -> int:
        seen.append(should_persist_result())
        return n

    assert should_persist_result() is True
    with temporary_settings(tasks_default_persist_result=False):
        assert should_persist_result() is False
    task(look)(1)
    task(look, persist_result=False)(1)
    task(look, cache_policy=NO_CACHE)(1)

    @flow(persist_result=False)
    def off() -> None:
        seen.append(should_persist_result())
        task(look)(2)
        task(look, persist_result=True)(2)

    off()
    assert seen == [True, False, False, False, False, True]


def test_get_result_store(tmp_path: Path) -> None:
    places: list[Any] = []

    def look(n: int) -> int:
        store = get_result_store()
        places.append((store.storage.place, store.result_serializer))
        store.write("from inside", key=f"extra-{n}")
        return n

    @flow(result_storage=tmp_path / "flow", result_serializer="json")
    def whole() -> None:
        look(1)
        task(look)(2)
        task(look, result_storage=tmp_path / "task", result_serializer="pickle")(3)

    whole()
    assert [place.directory.name for place, _ in places] == ["flow", "flow", "task"]
    assert [one.type for _, one in places] == ["json", "json", "pickle"]
    assert ResultStore(tmp_path / "flow").read("extra-2").result == "from inside"
    assert get_result_store().storage.place is None
