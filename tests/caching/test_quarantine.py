"""Damaged entries: out of the way at once, there to be looked at for a while."""

import json
import time

import numpy as np
import pytest

from cellist.caching import quarantine
from cellist.caching.quarantine import Quarantine
from cellist.caching.store import Missing
from tests.caching.faulty import HEADER, LARGE, check_recovers, filled


@pytest.fixture(params=["index", "files"])
def kind(request):
    return request.param


def file_of_large(results):
    (path,) = (p for p in results.glob("??/**/*.*") if p.stat().st_size > LARGE.nbytes)
    return path


def cut(path):
    content = path.read_bytes()[:-1]
    path.write_bytes(content)
    return content


def aside(results):
    return sorted((results / "quarantine").glob("*.cle"))


def test_a_damaged_entry_is_set_aside_as_it_was_and_replaced(open_store, results, warnings):
    filled(open_store)
    path = file_of_large(results)
    content = cut(path)
    store = open_store()
    first = store.get("large")
    store.flush()
    assert not path.exists()
    (kept,) = aside(results)
    assert kept.read_bytes() == content
    again = store.get("large")
    assert again == first, "it is said why as long as nothing takes its place"
    assert isinstance(again, Missing)
    assert "wrong length" in again.message
    assert {entry["key"] for entry in store.entries()} == {"small"}
    (problem,) = store.verify()
    assert (problem["key"], problem["task"], problem["code"]) == ("large", "fit", "unreadable")
    assert open_store().get("large").code == "absent", "the next session knows nothing of it"
    assert open_store().verify() == [problem], "but can tell"
    check_recovers(store)
    assert store.verify() == []
    assert aside(results) == [kept]
    assert len(warnings) == 1


def test_one_that_was_replaced_meanwhile_is_left(open_store, results, monkeypatch):
    filled(open_store)
    cut(file_of_large(results))
    store = open_store()
    with monkeypatch.context() as patch:
        patch.setattr(store._writer, "stay", lambda: None)
        assert isinstance(store.get("large"), Missing)
    assert open_store().put("large", LARGE, HEADER, durable=True) is None
    store.put("other", [1], HEADER, durable=True)
    assert aside(results) == []
    np.testing.assert_equal(store.get("large").value, LARGE)


class Unloadable:
    fault: type[Exception] = RuntimeError

    def __setstate__(self, state):
        raise self.fault("no")

    def __getstate__(self):
        return {"a": 1}


@pytest.mark.parametrize("fault", [RuntimeError, AttributeError])
def test_what_a_later_cell_may_define_is_not_set_aside(open_store, results, monkeypatch, fault):
    monkeypatch.setattr(Unloadable, "fault", fault)
    open_store().put("k", Unloadable(), HEADER, durable=True)
    store = open_store()
    assert store.get("k").code == "unreadable"
    store.flush()
    assert len(aside(results)) == (fault is RuntimeError)
    assert len(store.entries()) == (fault is AttributeError)


def admit(ward, key, size):
    note = {"key": key, "task": "fit", "code": "unreadable", "problem": "cut"}
    ward.admit(note, lambda target: target.write_bytes(bytes(size)))


def test_few_are_kept_and_not_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(quarantine, "_MOST", 3)
    monkeypatch.setattr(quarantine, "_MOST_BYTES", 2000)
    ward = Quarantine(tmp_path)
    for number in range(5):
        admit(ward, f"k{number}", 10)
    assert [note["key"] for note in ward.notes()] == ["k2", "k3", "k4"]
    admit(ward, "large", 1700)
    assert [note["key"] for note in ward.notes()] == ["k4", "large"]
    admit(ward, "too large", 3000)
    assert ward.notes() == []
    admit(ward, "old", 10)
    real = time.time
    monkeypatch.setattr(quarantine.time, "time", lambda: real() + 8 * 86_400)
    ward.tidy()
    assert list((tmp_path / "quarantine").iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"key": "k"}), "\udcff"])
def test_notes_that_make_no_sense_are_passed_over(tmp_path, text):
    ward = Quarantine(tmp_path)
    admit(ward, "k", 10)
    (tmp_path / "quarantine" / "0-x.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert [note["key"] for note in ward.notes()] == ["k"]
