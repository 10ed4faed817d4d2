"""What tasks say about their keys: depends_on, versions, strict, and inputs left out."""

import asyncio
import sys
import threading
import types
from pathlib import Path
from typing import Any

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist import Env, File, flow, settings, task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE, TASK_SOURCE, TaskSource
from cellist.caching import packages, source
from cellist.exceptions import ConfigurationError, HashError
from cellist.known_keys import KnownKeys
from cellist.model.events import LogWritten
from cellist.session import CellistWarning
from cellist.settings import CELLIST_TASKS_STRICT, temporary_settings
from tests.sessions import WAYS, Recorder, as_task, outcome

pytestmark = pytest.mark.usefixtures("recorder")


def why(t: Any, *args: Any, **kwargs: Any) -> str:
    return str(t(*args, return_state=True, **kwargs).why)


def is_hit(t: Any, *args: Any) -> bool:
    return t(*args, return_state=True).name == "Cached"


def module(name: str, text: str) -> types.ModuleType:
    """Make a module of the user's, as if imported."""
    made = types.ModuleType(name)
    made.__dict__["__name__"] = name
    sys.modules[name] = made
    exec(text, made.__dict__)
    return made


@pytest.fixture
def helpers():
    yield module("my_helpers", "LIMIT = 1\ndef clean(x): return x + LIMIT\nclass Model: size = 3")
    del sys.modules["my_helpers"]


# depends_on


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("clean", "def clean(x): return x + LIMIT + 1", "helper `clean` changed"),
        ("clean", "LIMIT = 2", "global `my_helpers.LIMIT`: 1 → 2"),
        ("Model", "class Model: size = 4", "`Model.size`: 3 → 4"),
        (None, "LIMIT = 2", "global `my_helpers.LIMIT`: 1 → 2"),
        (None, "def other(): pass", "module `my_helpers` changed"),
    ],
)
def test_what_changes_in_a_dependency_is_named(helpers: Any, name: Any, edit: str, said: str):
    depends_on = [getattr(helpers, name) if name else helpers]
    t = task(lambda n: n, name="t", depends_on=depends_on)
    t(1)
    assert is_hit(t, 1)
    exec(edit, helpers.__dict__)
    assert said in why(t, 1)
    assert is_hit(t, 1)


def test_values_and_tasks_and_lists_that_change_in_place() -> None:
    step = task(lambda x: x, name="step")
    sizes = [1, 2]
    t = task(lambda n: n, name="t", depends_on=[step, sizes, "text"])
    t(1)
    assert is_hit(t, 1)
    sizes.append(3)
    assert why(t, 1) == "ran: `depends_on[1]`: [1, 2] → [1, 2, 3]"
    changed = t.with_options(depends_on=[step, sizes, "other"])
    assert why(changed, 1) == "ran: `depends_on[2]`: 'text' → 'other'"
    other = task(lambda x: x + 1, name="step")
    assert "helper" in why(t.with_options(depends_on=[other, sizes, "text"]), 1)


def test_the_order_of_code_and_variables_does_not_count_and_that_of_files_does(
    helpers: Any, tmp_path: Path
) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    a, b = File(tmp_path / "a"), File(tmp_path / "b")
    t = task(lambda n: n, name="t", depends_on=[helpers.clean, Env("A"), a, b])
    t(1)
    assert is_hit(t.with_options(depends_on=[Env("A"), a, helpers.clean, b]), 1)
    assert not is_hit(t.with_options(depends_on=[helpers.clean, Env("A"), b, a]), 1)


def made_by_key(*_: Any) -> str:
    return "fixed"


POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "source": {"cache_policy": TASK_SOURCE},
    "inputs": {"cache_policy": INPUTS},
    "shared": {"cache_policy": INPUTS.configure(shared=True)},
    "a key function": {"cache_key_fn": made_by_key},
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("option", ["depends_on", "version"])
def test_it_counts_with_every_policy(policy: str, option: str) -> None:
    values: tuple[Any, Any] = ("1", "2") if option == "version" else ([1], [2])
    first, second = ({option: value} for value in values)
    t = task(lambda n: n, name="t", **POLICIES[policy], **first)
    t(1)
    assert is_hit(t, 1)
    assert not is_hit(t.with_options(**second), 1)
    assert is_hit(t, 1)


def test_it_makes_a_key_for_a_task_without_arguments() -> None:
    t = task(lambda: 1, name="t", cache_policy=INPUTS, depends_on=[1])
    t()
    assert is_hit(t)
    assert not is_hit(t.with_options(depends_on=[2]))


def test_what_a_name_means_now_counts(helpers: Any) -> None:
    clean, model = helpers.clean, helpers.Model
    t = task(lambda n: n, name="t", depends_on=[clean, model])
    t(1)
    exec("def clean(x): return 7", helpers.__dict__)  # a new function, as when its cell is edited
    assert "helper `clean` changed" in why(t, 1)
    helpers.clean = 3  # no function any more: the one that was given counts
    helpers.Model = threading.Lock()
    assert is_hit(t, 1)


def test_it_adds_no_key_where_there_is_none() -> None:
    ways: list[dict[str, Any]] = [{"cache_key_fn": lambda *_: None}, {"cache_policy": NO_CACHE}]
    for options in ways:
        t = task(lambda n: n, name="t", depends_on=[1], **options)
        t(1)
        assert not is_hit(t, 1)


def test_the_policy_keeps_what_it_is_configured_with(tmp_path: Path) -> None:
    policy = DEFAULT.configure(key_storage=tmp_path / "keys")
    t = task(lambda n: n, name="t", cache_policy=policy, depends_on=[1])
    t(1)
    assert is_hit(t, 1)
    assert any((tmp_path / "keys").iterdir())
    assert t.cache_policy is policy


def test_what_the_code_reaches_itself_is_not_told_twice(helpers: Any) -> None:
    clean = helpers.clean
    t = task(lambda n: clean(n) + n, name="t", depends_on=[clean])
    t(1)
    assert is_hit(t, 1)
    helpers.LIMIT = 5
    assert why(t, 1).count("LIMIT") == 1


def test_a_dependency_that_changes_during_the_run(helpers: Any) -> None:
    def edit(n: int) -> int:
        vars(sys.modules["my_helpers"])["LIMIT"] += 1
        return n

    t = task(edit, depends_on=[helpers.clean])
    assert "global `my_helpers.LIMIT` was changed in place" in why(t, 1)
    assert not is_hit(t, 1)


@pytest.mark.parametrize("what", [threading.Lock(), {"a": [threading.Lock()]}])
def test_what_has_no_digest_is_named(what: Any) -> None:
    t = task(lambda n: n, name="t", depends_on=[1, what])
    with pytest.warns(CellistWarning, match=r"depends_on\[1\].*Take it out of `depends_on`"):
        state = t(1, return_state=True)
    assert (state.result(), state.why.code) == (1, "unstable")


def test_a_closure_of_dependencies_is_kept_until_something_changes(
    helpers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    graph = source._graph
    monkeypatch.setattr(source, "_graph", lambda *a: built.append(a[0]) or graph(*a))
    t = task(lambda n: n, name="t", depends_on=[helpers.clean, Env("HOME"), [1]])
    for _ in range(3):
        t(1)
    assert built.count("owner") == 1
    helpers.LIMIT = 7
    t(1)
    assert built.count("owner") == 2


@given(st.lists(st.sampled_from([1, 2, "a", (1, 2)]), max_size=4), st.data())
def test_equal_lists_agree_and_different_ones_do_not(values: list[Any], data: st.DataObject):
    owner = source.Owner("m")
    digest = source.closure_of_dependencies(owner, values).digest
    other = source.Owner("m")
    assert source.closure_of_dependencies(other, tuple(values)).digest == digest
    if values:
        place = data.draw(st.integers(0, len(values) - 1))
        changed = [*values[:place], [values[place]], *values[place + 1 :]]
        assert source.closure_of_dependencies(owner, changed).digest != digest


@pytest.mark.parametrize("given", ["a.csv", 3, {1, 2}, len])
def test_what_is_no_list_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"`depends_on` of task 'f' must be a list"):
        task(lambda: 1, name="f", depends_on=given)


def test_a_storage_key_leaves_no_room_for_it() -> None:
    with pytest.raises(ValueError, match="Task 'f' has a `result_storage_key`"):
        task(lambda: 1, name="f", depends_on=[1], result_storage_key="k")


# versions


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch):
    """Set the version of a library that tasks use."""
    versions: dict[str, str] = {}

    def distribution_of(top: str) -> packages.Distribution:
        return packages.Distribution(top, versions.get(top, "1.0"))

    monkeypatch.setattr(packages, "distribution_of", distribution_of)
    known: list[KnownKeys] = []
    original = KnownKeys.of

    def of(*args: Any) -> KnownKeys | None:
        made = original(*args)
        known.extend([made] if made is not None else [])
        return made

    monkeypatch.setattr(KnownKeys, "of", staticmethod(of))

    def upgrade(version: str) -> None:
        versions["blake3"] = version
        source._entries.clear()  # as in a new kernel, where versions change
        source._owners.clear()
        for one in known:
            one._standing = None

    upgrade("1.2.0")
    return upgrade


def uses(n: int) -> Any:
    return n, blake3.blake3 is None


@pytest.mark.parametrize(
    ("versions", "hits"),
    [
        (None, "1.2.1"),
        ("minor", "1.2.1"),
        ("major", "1.2.1 1.3.0"),
        ("exact", ""),
        ("off", "1.2.1 1.3.0 2.0.0"),
        ({"blake3": "exact"}, ""),
        ({"Blake3": "major"}, "1.2.1 1.3.0"),
        ({"pandas": "exact"}, "1.2.1"),
        ({"pandas": "exact", "*": "off"}, "1.2.1 1.3.0 2.0.0"),
    ],
)
@pytest.mark.parametrize("place", ["option", "policy", "setting"])
def test_how_much_of_a_version_counts(
    versions: Any, hits: str, place: str, library: Any, recorder: Recorder
) -> None:
    policy = TASK_SOURCE if place != "policy" or versions is None else TaskSource(versions=versions)
    options: dict[str, Any] = {"versions": versions} if place == "option" else {}
    t = task(uses, cache_policy=INPUTS + policy, **options)
    with temporary_settings(
        {"tasks_versions": versions} if place == "setting" and versions is not None else {}
    ):
        t(1)
        key = recorder.runs[-1].cache_key
        found: list[str] = []
        for version in ("1.2.1", "1.3.0", "2.0.0"):
            library(version)
            t(1)
            if recorder.runs[-1].cache_key == key:
                found.append(version)
    assert found == hits.split()


def test_a_hit_under_another_version_says_so(recorder: Recorder, library: Any) -> None:
    t = task(uses)
    t(1)
    assert t(1, return_state=True).why.notes == ()
    library("1.2.9")
    states = [t(1, return_state=True) for _ in range(2)]
    said = "blake3 1.2.0 when recorded, 1.2.9 now"
    assert [state.why.notes for state in states] == [(said,), (said,)]
    logs = [e.message for e in recorder.events if isinstance(e, LogWritten) and said in e.message]
    assert len(logs) == 1
    library("2.0.0")
    assert why(t, 1) == "ran: package `blake3`: 1.2.0 → 2.0.0"


def test_the_option_goes_before_the_policy_and_that_before_the_setting(library: Any) -> None:
    minor = TASK_SOURCE.configure(versions="minor")
    t = task(uses, cache_policy=INPUTS + minor)
    exact = t.with_options(versions="exact")
    with temporary_settings(tasks_versions="exact"):
        t(1)
        exact(1)
        library("1.2.1")
        assert is_hit(t, 1)
        assert not is_hit(exact, 1)


@pytest.mark.parametrize("versions", ["patch", {"pandas": "newest"}, 3, ["minor"]])
def test_versions_that_mean_nothing(versions: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"an option of task 'f'"):
        task(lambda: 1, name="f", versions=versions)
    with pytest.raises((TypeError, ValueError), match=r"versions\b"):
        TASK_SOURCE.configure(versions=versions)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("exact", "exact"),
        ("major, pandas=exact", (("*", "major"), ("pandas", "exact"))),
        ("scikit_learn = exact", (("scikit-learn", "exact"),)),
    ],
)
def test_the_setting_for_versions(text: str, means: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLIST_TASKS_VERSIONS", text)
    assert settings.refresh().tasks_versions == means
    for bad in ("", "patch", "minor, major", "pandas=new"):
        monkeypatch.setenv("CELLIST_TASKS_VERSIONS", bad)
        with pytest.raises(ConfigurationError, match="CELLIST_TASKS_VERSIONS"):
            settings.refresh()
    monkeypatch.delenv("CELLIST_TASKS_VERSIONS")
    settings.refresh()


# strict

LOCK = threading.Lock()


@pytest.mark.parametrize("way", WAYS)
def test_a_strict_task_does_not_run_with_an_argument_without_digest(way: str) -> None:
    ran = []
    t = as_task(way, lambda cfg: ran.append(1), name="fit", cache_policy=INPUTS, strict=True,
                retries=2)  # fmt: skip
    with pytest.raises(HashError, match=r"Task `fit` is strict.*cfg\['db'\].*INPUTS - ") as caught:
        outcome(way, t, {"db": threading.Lock()})
    assert caught.value.path == "cfg['db']"
    assert ran == []


def test_a_strict_task_does_not_run_with_a_global_that_is_not_tracked(recorder: Recorder) -> None:
    failed: list[str] = []

    def guarded(n: int) -> int:
        with LOCK:
            return n

    t = task(guarded, strict=True, on_failure=[lambda *_: failed.append("hook")])
    with pytest.raises(HashError, match=r"Task `guarded` is strict.*`LOCK` has no stable digest"):
        t(1)
    assert [state.name for state in recorder.one("guarded").states] == [
        "Pending", "Running", "Failed",
    ]  # fmt: skip
    assert failed == ["hook"]
    loose = t.with_options(strict=False)
    assert loose(1) == 1
    state = loose(1, return_state=True)
    assert (state.name, state.why.notes) == ("Cached", ("not tracked: LOCK",))


def test_the_setting_makes_all_tasks_strict_but_those_that_say_otherwise() -> None:
    t = task(lambda n: LOCK is None, name="t")
    with temporary_settings({CELLIST_TASKS_STRICT: True}):
        with pytest.raises(HashError, match="is strict"):
            t(1)
        assert t.with_options(strict=False)(1) is False
        assert task(lambda n: n, name="off", cache_policy=NO_CACHE)(LOCK) is LOCK
    assert t(1) is False


def test_a_strict_task_fails_its_flow_and_leaves_its_transaction() -> None:
    rolled_back: list[str] = []
    t = task(lambda x: x, name="t", strict=True, on_rollback=[lambda _: rolled_back.append("t")])

    @flow
    def f() -> Any:
        return t(LOCK)

    with pytest.raises(HashError, match="is strict"):
        f()
    assert asyncio.run(_awaited()) == "refused"


async def _awaited() -> str:
    @task(strict=True)
    async def t(x: Any) -> Any:
        return x

    try:
        await t(LOCK)
    except HashError:
        return "refused"
    return "ran"


@pytest.mark.parametrize("given", [1, "yes"])
def test_strict_is_a_flag(given: Any) -> None:
    with pytest.raises(TypeError, match="`strict` of task 'f' must be True, False or None"):
        task(lambda: 1, name="f", strict=given)


# Inputs left out


def test_a_parameter_that_is_left_out_must_exist() -> None:
    def fit(df, verbose=False): ...

    for policy in (INPUTS - "verbos", DEFAULT - "verbos", TASK_SOURCE + (INPUTS - "verbos")):
        with pytest.raises(ValueError, match=r"'fit' leaves out 'verbos'.*It has 'df', 'verbose'"):
            task(fit, cache_policy=policy)
        with pytest.raises(ValueError, match="verbos"):
            task(fit).with_options(cache_policy=policy)
    assert task(fit, cache_policy=DEFAULT - "verbose").name == "fit"
    assert task(lambda *paths: 1, name="star", cache_policy=INPUTS - "paths").name == "star"
    assert task(print, name="p", cache_policy=INPUTS - "sep").name == "p"


def test_a_keyword_of_any_name_can_be_left_out() -> None:
    t = task(lambda n, **rest: n, name="t", cache_policy=DEFAULT - "verbose")
    t(1, verbose=True, size=3)
    assert t(1, verbose=False, size=3, return_state=True).name == "Cached"
    assert t(1, size=3, return_state=True).name == "Cached"
    assert t(1, verbose=True, size=4, return_state=True).name == "Completed"
    whole = task(lambda n, **rest: n, name="w", cache_policy=DEFAULT - "rest")
    whole(1, a=1)
    assert whole(1, a=2, return_state=True).name == "Cached"
