"""Serializers: round trips, names, and what a task's results are when read back."""

import dataclasses
import lzma
import pickle
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import INPUTS
from cellist.caching.serializers import serializer_of
from cellist.exceptions import SerializationError
from cellist.results import ResultStore
from cellist.serializers import (
    CompressedJSONSerializer,
    CompressedPickleSerializer,
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
)
from cellist.session import CellistWarning, Session, use_session
from cellist.settings import temporary_settings

NAMES = ("pickle", "json", "compressed/pickle", "compressed/json")
PLAIN = [None, True, 3, 1.5, "é", [1, [2]], {"a": {"b": None}}]


@dataclasses.dataclass
class Point:
    x: int


class Reversed(Serializer):
    """A serializer of the user's own, with an option."""

    type = "reversed"

    def __init__(self, mark: str = "!") -> None:
        self.mark = mark

    def dumps(self, obj: Any) -> bytes:
        return (self.mark + str(obj)[::-1]).encode()

    def loads(self, blob: bytes) -> Any:
        text = blob.decode()
        assert text.startswith(self.mark)
        return text[len(self.mark) :][::-1]


class Nameless(Serializer):
    """Has no type of its own, and gives no bytes."""

    def dumps(self, obj: Any) -> Any:
        return obj

    def loads(self, blob: bytes) -> Any:
        return blob


def encode_date(value: Any) -> Any:
    return {"date": value.isoformat()}


def decode_date(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value["date"]) if "date" in value else value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", PLAIN)
def test_round_trip(name: str, value: Any) -> None:
    serializer = serializer_of(name)
    assert serializer.type == name
    again = Serializer.from_spec(serializer.spec())
    assert again == serializer
    assert type(again) is type(serializer)
    assert again.loads(serializer.dumps(value)) == value


@pytest.mark.parametrize("name", ["pickle", "compressed/pickle"])
def test_pickles_keep_types(name: str) -> None:
    serializer = serializer_of(name)
    for value in [(1, {2}), Point(3), ValueError("no"), Point]:
        again = serializer.loads(serializer.dumps(value))
        assert type(again) is type(value)
        assert repr(again) == repr(value)


def test_half_a_serializer_is_refused_when_it_is_made() -> None:
    class Half(Serializer):
        def dumps(self, obj: Any) -> bytes:
            return repr(obj).encode()

    with pytest.raises(TypeError, match="loads"):
        Half()  # type: ignore[abstract] - that is what it is about


def test_json_says_what_json_says() -> None:
    serializer = JSONSerializer()
    assert serializer.loads(serializer.dumps({1: (2, 3)})) == {"1": [2, 3]}
    with pytest.raises(SerializationError, match="no form in JSON"):
        serializer.dumps(Point(1))


def test_json_options() -> None:
    serializer = JSONSerializer(encode_date, decode_date, dumps_kwargs={"sort_keys": True})
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    blob = serializer.dumps({"b": 1, "a": moment})
    assert blob.startswith(b'{"a"')
    again = Serializer.from_spec(serializer.spec())
    assert again.loads(blob) == {"b": 1, "a": moment}
    by_path = JSONSerializer(f"{__name__}.encode_date", f"{__name__}.decode_date")
    assert by_path.loads(by_path.dumps([moment])) == [moment]
    with pytest.raises(SerializationError, match="no name it could be found by"):
        JSONSerializer(object_encoder=lambda value: value).spec()
    for given in ({"dumps_kwargs": {"default": str}}, {"loads_kwargs": {"object_hook": dict}}):
        with pytest.raises(ValueError, match=r"object_(en|de)coder"):
            JSONSerializer(**given)  # type: ignore[arg-type] - wrong on purpose


def test_compression() -> None:
    text = "a" * 100_000
    for serializer in (CompressedPickleSerializer(), CompressedJSONSerializer()):
        blob = serializer.dumps(text)
        assert len(blob) < 1000
        assert lzma.decompress(blob)
    other = CompressedSerializer("json", compressionlib="zlib")
    again = Serializer.from_spec(other.spec())
    assert again == other
    assert again.loads(other.dumps(text)) == text


@pytest.mark.parametrize("library", ["no_such_module", "math"])
def test_libraries_are_checked(library: str) -> None:
    with pytest.raises(ValueError, match=library):
        PickleSerializer(picklelib=library)
    with pytest.raises(ValueError, match=library):
        CompressedSerializer("json", compressionlib=library)


def test_other_pickle_libraries() -> None:
    serializer = PickleSerializer(picklelib="cloudpickle")
    assert serializer.loads(serializer.dumps(lambda: 5))() == 5
    with pytest.raises(SerializationError, match="lambda"):
        PickleSerializer().dumps([lambda: 5])
    assert pickle.loads(PickleSerializer().dumps([1])) == [1]


def test_unknown_names_and_types_are_refused_at_definition() -> None:
    with pytest.raises(ValueError, match=r"task 'work'.*'xml'.*compressed/json"):
        task(lambda: 1, name="work", result_serializer="xml")
    with pytest.raises(TypeError, match="flow 'whole'"):
        flow(lambda: 1, name="whole", result_serializer=5)  # type: ignore[arg-type] - wrong on purpose
    with pytest.raises(SerializationError, match="'gone', not defined here"):
        Serializer.from_spec({"type": "gone"})


def read_back(session: Session, t: Any, *args: Any) -> Any:
    """Call a task, then once more in a session that has nothing in memory."""
    t(*args)
    session.stores.flush()
    with use_session(Session(session.directory)):
        state = t(*args, return_state=True)
    assert state.name == "Cached"
    return state.result()


@pytest.mark.parametrize(
    ("serializer", "want"),
    [
        (None, (1, 2)),
        ("pickle", (1, 2)),
        ("compressed/pickle", (1, 2)),
        ("json", [1, 2]),
        ("compressed/json", [1, 2]),
        (JSONSerializer(), [1, 2]),
        (CompressedSerializer("json", "bz2"), [1, 2]),
        (Reversed("?"), "(1, 2)"),
    ],
)
def test_results_of_tasks(recorder: Any, serializer: Any, want: Any) -> None:
    t = task(lambda n: (1, n), cache_policy=INPUTS, result_serializer=serializer)
    assert t(2) == (1, 2)
    assert t(2) == want  # from memory too
    assert read_back(recorder.session, t, 2) == want
    record = ResultStore().read(str(t(2, return_state=True).state_details.cache_key))
    assert record.result == want
    expected = "pickle" if serializer is None else serializer_of(serializer).type
    assert record.metadata.serializer.type == expected


def test_a_record_is_read_with_the_serializer_it_was_written_with(recorder: Any) -> None:
    t = task(lambda n: (n,), name="t", cache_policy=INPUTS, result_serializer="pickle")
    t(1)
    other = t.with_options(result_serializer="json")
    assert other(1, return_state=True).name == "Cached"
    assert other(1) == (1,)
    other(2)
    assert t(2) == [2]


def test_default_serializer_from_the_setting(recorder: Any) -> None:
    t = task(lambda n: (n,), cache_policy=INPUTS)
    with temporary_settings(results_default_serializer="json"):
        t(1)
        assert t(1) == [1]
        chosen = t.with_options(result_serializer="pickle")
        chosen(2)
        assert chosen(2) == (2,)


def test_what_a_serializer_cannot_take_is_returned_and_not_kept(recorder: Any) -> None:
    t = task(lambda n: threading.Lock(), name="t", cache_policy=INPUTS, result_serializer="json")
    with pytest.warns(CellistWarning, match="no form in JSON"):
        state = t(1, return_state=True)
    assert state.name == "Completed"
    assert hasattr(state.result(), "acquire")
    assert t(1, return_state=True).name == "Completed"
    odd = task(lambda n: "text", name="odd", cache_policy=INPUTS, result_serializer=Nameless())
    with pytest.warns(CellistWarning, match="gave str, not bytes"):
        assert odd(1) == "text"


def test_a_serializer_that_is_gone_is_a_miss_with_a_warning(recorder: Any) -> None:
    class Passing(Reversed):
        type = "passing"

    t = task(lambda n: n, name="t", cache_policy=INPUTS, result_serializer=Passing())
    t("abc")
    del Serializer._known["passing"]
    with pytest.warns(CellistWarning, match="'passing', not defined here"):
        state = t("abc", return_state=True)
    assert (state.name, state.why.code) == ("Completed", "unreadable")
