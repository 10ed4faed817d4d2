"""What a pause asks: fields made of types and models, and what is made of what is filled in."""

import datetime as dt
import enum
import re
from typing import Annotated, Any, Literal

import pydantic
import pytest

from cellist.exceptions import ParameterTypeError
from cellist.forms import InvalidInput, Wanted
from cellist.input import RunInput


class Channel(enum.Enum):
    MAIL = "mail"
    CHAT = "chat"


class Inner(pydantic.BaseModel):
    x: int = 1


class Approval(RunInput):
    """Shall it be published?"""

    approve: bool = pydantic.Field(description="Publish it")
    copies: int = pydantic.Field(3, ge=1, le=9)
    share: float | None = None
    channel: Channel = Channel.MAIL
    size: Literal["small", 2]
    on: dt.date = pydantic.Field(title="Publication date")
    tags: list[str] = ["weekly"]
    inner: Inner = Inner()
    word: pydantic.SecretStr | None = None


def field(kind: Any, name: str = "value") -> dict[str, Any]:
    return next(one for one in Wanted(kind).fields() if one["name"] == name)


FIELDS: list[tuple[Any, dict[str, Any]]] = [
    (int, {"kind": "integer", "required": True, "label": "Value"}),
    (float, {"kind": "number", "required": True}),
    (bool, {"kind": "bool", "required": True}),
    (str, {"kind": "text", "required": True}),
    (dt.date, {"kind": "date"}),
    (dt.datetime, {"kind": "datetime"}),
    (dt.time, {"kind": "time"}),
    (pydantic.SecretStr, {"kind": "secret"}),
    (Channel, {"kind": "select", "options": ["mail", "chat"]}),
    (Literal["a", 1], {"kind": "select", "options": ["a", "1"]}),
    (Literal["a"], {"kind": "select", "options": ["a"]}),
    (int | None, {"kind": "integer", "required": False, "nullable": True}),
    (Literal["a"] | None, {"kind": "select", "nullable": True}),
    (int | str, {"kind": "json", "required": True}),
    (list[int], {"kind": "json"}),
    (dict[str, int], {"kind": "json"}),
    (Any, {"kind": "json"}),
    (Annotated[int, pydantic.Field(ge=2)], {"kind": "integer", "min": 2}),
    (type("Thing", (), {}), {"kind": "json"}),
]


@pytest.mark.parametrize(("kind", "told"), FIELDS, ids=[str(kind) for kind, _ in FIELDS])
def test_the_field_of_a_plain_type(kind: Any, told: dict[str, Any]) -> None:
    made = field(kind)
    assert {name: made.get(name) for name in told} == told


def test_the_fields_of_a_model() -> None:
    wanted = Wanted(Approval)
    assert wanted.title == "Approval"
    assert wanted.description == "Shall it be published?"
    assert [one["name"] for one in wanted.fields()] == list(Approval.model_fields)
    assert field(Approval, "approve")["help"] == "Publish it"
    copies = field(Approval, "copies")
    assert (copies["default"], copies["min"], copies["max"]) == ("3", 1, 9)
    assert field(Approval, "on")["label"] == "Publication date"
    assert field(Approval, "channel")["default"] == "mail"
    assert field(Approval, "tags")["default"] == '[\n  "weekly"\n]'
    assert field(Approval, "word")["kind"] == "secret"


FILLED = {"approve": True, "size": "2", "on": "2026-11-26"}
READ = [
    ({}, {"copies": 3, "size": 2, "on": dt.date(2026, 11, 26), "tags": ["weekly"]}),
    ({"copies": "4", "share": "0.5"}, {"copies": 4, "share": 0.5}),
    ({"copies": "", "share": "", "tags": " "}, {"copies": 3, "share": None, "tags": ["weekly"]}),
    ({"channel": "chat", "tags": "[]"}, {"channel": Channel.CHAT, "tags": []}),
    ({"inner": '{"x": 5}'}, {"inner": Inner(x=5)}),
]


@pytest.mark.parametrize(("texts", "got"), READ)
def test_what_is_filled_in_becomes_the_model(texts: dict[str, Any], got: dict[str, Any]) -> None:
    made = Wanted(Approval).from_page({**FILLED, **texts})
    assert {name: getattr(made, name) for name in got} == got


WRONG = [
    ({"copies": "12"}, "copies", "less than or equal to 9"),
    ({"copies": "x"}, "copies", "valid integer"),
    ({"size": ""}, "size", "Field required"),
    ({"size": "huge"}, "size", "Field required"),
    ({"on": "soon"}, "on", "valid date"),
    ({"tags": "[1"}, "tags", "This is not JSON: .*line 1, column 3"),
    ({"tags": "[1]"}, "tags", "0: Input should be a valid string"),
    ({"inner": '{"x": "y"}'}, "inner", "x: Input should be a valid integer"),
]


@pytest.mark.parametrize(("texts", "name", "says"), WRONG)
def test_what_does_not_fit_is_told_by_field(texts: dict[str, Any], name: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        Wanted(Approval).from_page({**FILLED, **texts})
    assert list(caught.value.errors) == [name]
    assert isinstance(caught.value, ParameterTypeError)


PLAIN: list[tuple[Any, Any, str, str]] = [
    (int, {"value": "many"}, "A whole number is wanted, such as 3, not 'many'.", "help"),
    (int, {"value": "1.5"}, "A whole number is wanted, such as 3, not 1.5.", "help"),
    (int, {}, "A whole number is wanted, such as 3.", "help"),
    (int | None, {"value": "many"}, "A whole number is wanted, such as 3, not 'many'.", "help"),
    (float, {"value": "x"}, "A number is wanted, such as 2.5, not 'x'.", "help"),
    (dt.date, {"value": "x"}, "A date is wanted, such as 2030-01-31, not 'x'.", "help"),
    (str, {}, "A text is wanted.", ""),
    (Annotated[int, pydantic.Field(ge=2)], {"value": "1"}, "greater than or equal to 2", "help"),
]


@pytest.mark.parametrize(("kind", "texts", "says", "told"), PLAIN)
def test_a_plain_type_says_what_is_wanted(kind: Any, texts: Any, says: str, told: str) -> None:
    wanted = Wanted(kind)
    with pytest.raises(InvalidInput) as caught:
        wanted.from_page(texts)
    assert says in caught.value.errors["value"]
    assert (told in wanted.fields()[0]) == bool(told)


@pytest.mark.parametrize(
    ("given", "got"),
    [("x", ", not 'x'"), (1.5, ", not 1.5"), (None, ""), ({"val": 1}, ", not {'val': 1}")],
)
def test_code_that_gives_no_whole_number_is_told_so(given: Any, got: str) -> None:
    message = re.escape(f"value: A whole number is wanted, such as 3{got}.")
    with pytest.raises(InvalidInput, match=message):
        Wanted(int).from_code(given)
    assert Wanted(int).from_code(3) == Wanted(int).from_code({"value": 3}) == 3


def test_a_check_of_the_whole_is_told_of_the_whole() -> None:
    class Range(pydantic.BaseModel):
        low: int
        high: int

        @pydantic.model_validator(mode="after")
        def ordered(self) -> "Range":
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    with pytest.raises(InvalidInput) as caught:
        Wanted(Range).from_page({"low": "2", "high": "1"})
    assert caught.value.errors == {"": "low is above high"}


def test_empty_text_is_no_answer_where_one_is_required() -> None:
    with pytest.raises(InvalidInput, match="A text is wanted"):
        Wanted(str).from_page({"value": ""})
    assert Wanted(str | None).from_page({"value": ""}) is None
    assert Wanted(bool).from_page({}) is False


def test_initial_values_and_a_description() -> None:
    made = Approval.with_initial_data(description="Have a look.", copies=5, approve=True)
    wanted = Wanted(made)
    assert issubclass(made, Approval)
    assert (wanted.title, wanted.description) == ("Approval", "Have a look.")
    assert field(made, "copies")["default"] == "5"
    assert field(made, "copies")["max"] == 9
    assert field(made, "approve")["default"] is True
    assert field(Approval, "copies")["default"] == "3"
    with pytest.raises(ValueError, match="Approval has no field 'copy'"):
        Approval.with_initial_data(copy=1)


def test_secrets_are_not_shown() -> None:
    wanted = Wanted(Approval)
    answer = wanted.from_page({**FILLED, "word": "swordfish"})
    assert answer.word.get_secret_value() == "swordfish"
    assert "swordfish" not in str(wanted.shown(answer))
