"""Bundles behind a store: found by themselves, copied on a hit, one notice for what is wrong."""

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cellist.caching import trust
from cellist.caching.bundles import Bundles
from cellist.caching.formats import Encoded
from cellist.caching.found import Found, Missing
from cellist.caching.shown import unpack
from cellist.caching.signing import user_signer
from tests.bundles import THEIRS, bundle_of, digest_of, header, lie, members_of, zipped

VALUES = {"data": {"n": [1, 2]}, "pickled": {1, 2}, "array": np.arange(3.0)}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory with a notebook in it, where the kernel runs."""
    place = tmp_path / "project"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def bundles(project, warnings):
    return Bundles(project / ".cellist" / "results", warnings.append)


@pytest.fixture
def store(open_store, project):
    return open_store(project / ".cellist" / "results")


def test_without_a_bundle_nothing_is_found_and_no_secret_is_made(bundles, store, tmp_path):
    assert bundles.fetch(store, "data") is None
    assert bundles.known("notebook.fit") == []
    assert not (tmp_path / "cellist-secret").exists()


def test_a_hit_is_copied_and_says_where_it_came_from(bundles, store, project, warnings):
    path = bundle_of(project / "analysis.cellist", VALUES)
    found = bundles.fetch(store, "data")
    assert isinstance(found, Found)
    assert found.value == VALUES["data"]
    assert found.header.get("bundle") == ["analysis.cellist", digest_of(path)]
    assert found.header.get("created") == header("data").get("created")
    path.unlink()
    store.close()
    again = store.get("data")
    assert isinstance(again, Found), "it is in the store now"
    assert again.value == VALUES["data"]
    assert (again.header.get("seconds"), again.header.get("task")) == (12.0, "fit")
    assert warnings == []


def test_pickles_of_others_are_misses_with_one_notice(bundles, store, project, warnings):
    bundle_of(project / "analysis.cellist", {**VALUES, "other": {3}})
    for key in ("pickled", "other", "pickled"):
        found = bundles.fetch(store, key)
        assert isinstance(found, Missing)
        assert found.code == "foreign"
    assert warnings == [
        "2 of 4 entries of `analysis.cellist` need trust: `%cellist trust analysis.cellist`."
    ]
    assert bundles.peek("pickled") is None
    assert bundles.peek("data") is not None


def test_own_pickles_load(bundles, store, project):
    bundle_of(project / "analysis.cellist", VALUES, user_signer()[0])
    found = bundles.fetch(store, "pickled")
    assert isinstance(found, Found)
    assert found.value == {1, 2}


def test_trust_is_in_one_manifest_and_can_be_withdrawn(bundles, store, project):
    path = bundle_of(project / "analysis.cellist", VALUES)
    trust.trust(digest_of(path), path)
    found = bundles.fetch(store, "pickled")
    assert isinstance(found, Found)
    assert found.value == {1, 2}
    store.clear()
    lie(path, lambda lines: lines[0].update(seconds=12.5))
    bundles.look_again()
    assert isinstance(bundles.fetch(store, "pickled"), Missing), "one byte changed"
    assert trust.withdraw(lambda one: one.path == str(path)) != []
    bundle_of(path, VALUES)
    bundles.look_again()
    assert isinstance(bundles.fetch(store, "pickled"), Missing)


def test_the_list_of_trust_is_private_and_of_nobody_else(bundles, project, tmp_path):
    path = bundle_of(project / "analysis.cellist", VALUES)
    trust.trust("0" * 64, path)
    trust.trust(digest_of(path), path)
    listed = tmp_path / "cellist-secret" / "trusted"
    assert trust.is_trusted(digest_of(path))
    assert trust.is_trusted("0" * 64)
    if os.name == "posix":
        assert listed.stat().st_mode & 0o777 == 0o600
        listed.chmod(0o622)
        assert not trust.is_trusted(digest_of(path)), "anybody could have written that"
    listed.unlink()
    assert not trust.is_trusted(digest_of(path))
    (project / ".cellist").mkdir()
    (project / ".cellist" / "trusted").write_text(f"{digest_of(path)} now here\n")
    (project / "trusted").write_text(f"{digest_of(path)} now here\n")
    assert not trust.is_trusted(digest_of(path)), "a project cannot grant it"


def damaged(path):
    path.write_bytes(path.read_bytes()[:-100])


def no_zip(path):
    path.write_bytes(b"no zip at all")


def empty(path):
    path.write_bytes(b"")


def other_digest(path):
    lie(path, lambda lines: [line.update(digest="0" * 64) for line in lines])


def other_type(path):
    lie(path, lambda lines: [line.update(format="array", meta={}) for line in lines])


def other_blob(path):
    members = members_of(path)
    for name in members:
        if name.startswith("blobs/"):
            members[name] = members[name][::-1]
    path.write_bytes(zipped(members))


@pytest.mark.parametrize("harm", [damaged, no_zip, empty, other_digest, other_type, other_blob])
def test_a_bundle_that_is_wrong_gives_misses_and_one_notice(
    bundles, store, project, warnings, harm
):
    path = bundle_of(project / "analysis.cellist", {"a": [1], "b": [2]})
    harm(path)
    for key in ("a", "b", "a"):
        assert not isinstance(bundles.fetch(store, key), Found)
    (warning,) = warnings
    assert "`analysis.cellist`" in warning
    assert store.get("a").code == "absent", "nothing of it was kept"


def test_of_two_bundles_the_one_that_can_be_used_counts(bundles, store, project, warnings):
    other_blob(bundle_of(project / "a.cellist", {"k": [1]}))
    bundle_of(project / "b.cellist", {"k": [1]})
    found = bundles.fetch(store, "k")
    assert isinstance(found, Found)
    assert found.header.get("bundle", ("",))[0] == "b.cellist"
    assert len(warnings) == 1


def test_what_looks_like_outputs_of_a_cell_brings_no_pickle(bundles, store, project):
    import pickle

    pack = {"format": 1, "names": [], "plan": {}, "deleted": [], "pickle": ["\x80"], "shown": []}
    raw = pd.DataFrame({"format": [1], "pickle": ["\x80"]})
    hidden = Encoded("bytes", None, [pickle.dumps({1})])
    bundle_of(project / "analysis.cellist", {"json": pack, "frame": raw, "bytes": hidden})
    for key, kind in (("json", dict), ("frame", pd.DataFrame), ("bytes", bytes)):
        found = bundles.fetch(store, key)
        assert isinstance(found, Found)
        assert type(found.value) is kind


def test_hints_and_parts_of_the_key_are_texts_whatever_a_manifest_says(bundles, project):
    path = bundle_of(project / "analysis.cellist", {"a": 1})
    odd = {"hints": [1, {"a": 2}], "components": [["source", "f", 1, None], ["short"]]}
    lie(path, lambda lines: lines[0]["header"].update(odd, serializer=7, user={"x": 1}))
    kept: Any = bundles.peek("a")
    assert kept["hints"] == ["1", "{'a': 2}"]
    assert kept["components"] == [["source", "f", "1", "None"]]
    assert "serializer" not in kept
    assert "user" not in kept


def test_where_bundles_are_looked_for(project, store, warnings, tmp_path, monkeypatch):
    below, shared = project / "notebooks", tmp_path / "shared"
    below.mkdir()
    shared.mkdir()
    monkeypatch.chdir(below)
    bundle_of(project / "root.cellist", {"root": 1})
    bundle_of(below / "beside.cellist", {"beside": 2})
    bundle_of(shared / "one.cellist", {"one": 3})
    (below / ".cellist").mkdir()
    (below / "directory.cellist").mkdir()
    named: list[str] = []
    bundles = Bundles(project / ".cellist" / "results", warnings.append, lambda: named)
    for key, value in (("root", 1), ("beside", 2), ("one", None)):
        found = bundles.fetch(store, key)
        assert (found.value if isinstance(found, Found) else None) == value
    for place in (shared, shared / "one.cellist"):
        store.clear()
        named[:] = [str(place)]
        bundles.look_again()
        assert isinstance(bundles.fetch(store, "one"), Found)
    assert warnings == []


def test_a_place_that_is_not_there_is_told_once(bundles, store, tmp_path, warnings, monkeypatch):
    monkeypatch.setattr("cellist.caching.bundles._LOOK_SECONDS", 0.0)
    bundles.named = lambda: [str(tmp_path / "gone")]
    for _ in range(2):
        assert bundles.fetch(store, "a") is None
    assert warnings == [f"CELLIST_BUNDLES names `{tmp_path / 'gone'}`, which is not there."]


@pytest.mark.skipif(os.name != "posix", reason="only on systems that let it be deleted")
def test_a_working_directory_that_was_deleted_is_no_trouble(store, tmp_path, warnings, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Bundles(gone / "results", warnings.append).fetch(store, "a") is None
    assert warnings == []


def test_a_bundle_that_comes_or_is_replaced_later_is_noticed(bundles, store, project, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("cellist.caching.bundles.time.monotonic", lambda: now[0])
    assert bundles.fetch(store, "a") is None
    path = bundle_of(project / "later.cellist", {"a": 1})
    assert bundles.fetch(store, "a") is None, "directories are not looked at on each miss"
    now[0] += 3
    assert isinstance(bundles.fetch(store, "a"), Found)
    bundle_of(path, {"b": 1})
    now[0] += 3
    store.clear()
    assert bundles.fetch(store, "a") is None
    assert isinstance(bundles.fetch(store, "b"), Found)


def test_a_file_that_vanishes_or_is_replaced_after_it_was_opened(bundles, store, project, warnings):
    path = bundle_of(project / "x.cellist", {"a": [1], "b": [2]})
    assert isinstance(bundles.fetch(store, "a"), Found)
    bundle_of(path, {"b": {1, 2, 3}, "c": "other content"})
    assert isinstance(bundles.fetch(store, "b"), Missing), "proven by its digest, not its place"
    path.unlink()
    assert isinstance(bundles.fetch(store, "b"), Missing)
    assert len(warnings) == 1


@pytest.mark.skipif(os.name != "posix", reason="only on systems with owners of files")
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only on machines as root")
def test_a_file_of_another_user_is_left_alone_unless_it_is_named(
    project, store, warnings, monkeypatch
):
    path = bundle_of(project / "x.cellist", {"a": 1})
    os.chown(path, 12345, 12345)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    named: list[str] = []
    bundles = Bundles(project / ".cellist" / "results", warnings.append, lambda: named)
    assert bundles.fetch(store, "a") is None
    assert "belongs to another user" in warnings[0]
    named.append(str(path))
    bundles.look_again()
    assert isinstance(bundles.fetch(store, "a"), Found)


def test_what_was_cleared_is_not_brought_back(bundles, store, project):
    bundle_of(project / "x.cellist", {"a": 1, "b": 2})
    bundles.forget(key="a")
    assert bundles.fetch(store, "a") is None
    assert isinstance(bundles.fetch(store, "b"), Found)
    bundles.forget(task="notebook.fit")
    assert bundles.fetch(store, "b") is None


def test_a_hit_survives_a_store_that_cannot_keep_it(project, open_store, warnings, bundles):
    bundle_of(project / "x.cellist", VALUES, user_signer()[0])
    store = open_store(project / ".cellist" / "results", budget=1, memory_budget=0)
    for key, value in VALUES.items():
        found = bundles.fetch(store, key)
        assert isinstance(found, Found)
        np.testing.assert_equal(found.value, value)
        assert isinstance(store.get(key), Missing)


@pytest.mark.parametrize("key", ["data", "pickled"])
def test_without_copy_nothing_is_kept(bundles, store, project, key):
    bundle_of(project / "x.cellist", VALUES, user_signer()[0])
    found = bundles.fetch(None, key)
    assert isinstance(found, Found)
    assert found.value == VALUES[key]
    assert isinstance(store.get(key), Missing)


def test_two_hits_share_nothing(bundles, store, project):
    bundle_of(project / "x.cellist", VALUES)
    first, second = bundles.fetch(store, "array"), bundles.fetch(store, "array")
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    first.value[0] = 99
    assert second.value[0] == 0
    assert store.get("array").value[0] == 0


def test_headers_explain_a_miss(bundles, project):
    bundle_of(project / "x.cellist", VALUES)
    known = bundles.known("notebook.fit")
    assert len(known) == len(VALUES)
    assert known[0].parts == {("source", "fit", "0f")}
    assert bundles.known("notebook.other") == []


NOTHING: list[Any] = ["no event"]
SHOWN = [
    {"kind": "stream", "name": "stdout", "text": "hello\n"},
    {
        "kind": "display",
        "data": {"text/html": "<script>alert(1)</script>", "text/plain": "<Table>"},
        "metadata": {},
        "id": "d1",
        "update": False,
    },
]


@pytest.mark.parametrize("signer", [THEIRS, None], ids=["foreign", "own"])
def test_what_a_run_showed_comes_along_and_of_others_only_what_cannot_run(
    bundles, store, project, signer
):
    own = user_signer()[0]
    bundle_of(project / "analysis.cellist", VALUES, signer or own, SHOWN)
    first = bundles.fetch(store, "array")
    store.close()
    for found in (first, store.get("array")):
        assert isinstance(found, Found)
        assert found.value.tolist() == [0.0, 1.0, 2.0]
        assert found.shown is not None
        text, display = unpack(found.shown)
        assert text == SHOWN[0]
        kinds = {"text/plain"} if signer else {"text/plain", "text/html"}
        assert set(display["data"]) == kinds


def test_what_is_no_recording_is_dropped(bundles, store, project):
    path = bundle_of(project / "analysis.cellist", {"data": [1]}, shown=NOTHING)
    found = bundles.fetch(store, "data")
    assert isinstance(found, Found)
    assert unpack(found.shown or b"") == []
    store.clear()
    lie(path, lambda lines: lines[0].update(parts=[lines[0]["size"]]))
    bundles.look_again()
    assert isinstance(bundles.fetch(store, "data"), Missing)
