"""What a flow tells about its parameters."""

import datetime as dt
from typing import Any

import pydantic
import pytest

from cellist import flow, task
from cellist.exceptions import ParameterTypeError


class Model(pydantic.BaseModel):
    a: int = 1


class Own:
    pass


@flow
def sample(
    n: int,
    model: Model,
    own: Own,
    plain,
    *rest: int,
    names: list[str] | None = None,
    when: dt.date = dt.date(2020, 1, 2),
    default=Own,
    **more: str,
) -> None:
    """Do nothing."""


def test_the_schema_of_parameters():
    schema = sample.parameters
    assert (schema["title"], schema["type"]) == ("Parameters", "object")
    assert schema["required"] == ["n", "model", "own", "plain"]
    told = schema["properties"]
    assert [told[name]["position"] for name in told] == list(range(9))
    assert told["n"] == {"type": "integer", "title": "n", "position": 0}
    assert told["model"]["properties"]["a"]["default"] == 1
    assert told["own"] == {"title": "own", "position": 2}
    assert told["plain"] == {"title": "plain", "position": 3}
    assert told["names"]["anyOf"] == [
        {"items": {"type": "string"}, "type": "array"},
        {"type": "null"},
    ]
    assert told["names"]["default"] is None
    assert (told["when"]["format"], told["when"]["default"]) == ("date", "2020-01-02")
    assert told["default"]["default"] == "<type>"
    assert told["rest"]["items"] == {"type": "integer"}


def test_models_that_are_used_twice_are_defined_once():
    class Node(pydantic.BaseModel):
        children: list["Node"] = []

    @flow
    def walk(tree: Node, other: list[Node]):
        pass

    schema = walk.parameters
    assert list(schema["definitions"]) == ["Node"]
    assert schema["properties"]["other"]["items"] == {"$ref": "#/definitions/Node"}


def test_annotations_that_cannot_be_resolved():
    @flow
    def strange(x: "Nowhere"):  # noqa: F821 # pyright: ignore[reportUndefinedVariable] - the point
        pass

    assert strange.parameters["properties"] == {"x": {"title": "x", "position": 0}}


def test_values_as_json():
    given: dict[str, Any] = {
        "n": 1,
        "model": Model(a=2),
        "own": Own(),
        "when": dt.date(2020, 1, 2),
        "nested": {"x": (1, 2)},
    }
    assert sample.serialize_parameters(given) == {
        "n": 1,
        "model": {"a": 2},
        "own": "<Own>",
        "when": "2020-01-02",
        "nested": {"x": [1, 2]},
    }


def test_other_attributes_of_flows():
    assert sample.should_validate_parameters
    assert sample.validate_parameters({"n": "5"}) == {"n": 5}
    with pytest.raises(ParameterTypeError, match="n: "):
        sample.validate_parameters({"n": "x"})
    assert not flow(sample.fn, validate_parameters=False).should_validate_parameters
    assert sample.version
    assert flow(sample.fn, version="3").version == "3"
    assert (sample.name, sample.description) == ("sample", "Do nothing.")
    assert (sample.isasync, sample.isgenerator) == (False, False)


@pytest.mark.parametrize("make", [task, flow])
def test_retries_are_told_as_they_count(make):
    made = make(lambda: None, retries=3, retry_delay_seconds=lambda n: [1] * n)
    assert (made.retries, made.retry_delay_seconds) == (3, [1, 1, 1])
    unset = make(lambda: None)
    assert (unset.retries, unset.retry_delay_seconds) == (0, 0)
    assert make(unset.fn, retries=0).retries == 0
    assert made.with_options(retries=1).retries == 1
