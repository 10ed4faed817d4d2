"""What a pause asks a person: fields made from a type or a pydantic model, and answers checked.

A front end gets plain data about each field and gives texts back; only pydantic decides whether
they fit. What a form has no control of its own for (lists, dictionaries, models in models) is
written as JSON. pydantic is imported when the first question is asked.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from cellist.exceptions import ParameterTypeError
from cellist.model.previews import short

PLAIN = "value"
"""The field that stands for a plain type."""

_KINDS = {"integer": "integer", "number": "number", "boolean": "bool", "string": "text"}
_FORMATS = {"date": "date", "date-time": "datetime", "time": "time", "password": "secret"}
_BOUNDS = {"minimum": "min", "maximum": "max", "minLength": "shortest", "maxLength": "longest"}
_LONG_TEXT = 80
_PLAIN: dict[Any, tuple[str, str, str]] = {
    int: ("a whole number", "3", "3"),
    float: ("a number", "2.5", "2.5"),
    bool: ("yes or no", "True", ""),
    str: ("a text", "'some text'", ""),
    date: ("a date", "'2030-01-31'", "2030-01-31"),
    datetime: ("a date and time", "'2030-01-31T12:00'", "2030-01-31T12:00"),
}
"""What plain types are called, with an example for code and one for a form."""


class InvalidInput(ParameterTypeError):
    """Input that a pause does not accept. `errors` has a message per field, `""` for the whole."""

    def __init__(self, message: str = "", errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(errors or {})


class Wanted:
    """The input that a pause waits for."""

    def __init__(self, kind: Any) -> None:
        pydantic = import_module("pydantic")
        self._pydantic: Any = pydantic
        self.is_plain = not (isinstance(kind, type) and issubclass(kind, pydantic.BaseModel))
        if self.is_plain:
            name = getattr(kind, "__name__", None) or str(kind).removeprefix("typing.")
            config = pydantic.ConfigDict(arbitrary_types_allowed=True)
            self.model: Any = pydantic.create_model(name, __config__=config, **{PLAIN: (kind, ...)})
        else:
            self.model = kind
        self.title: str = self.model.__name__
        words = _PLAIN.get(_bare(kind)) if self.is_plain else None
        self.hint: str | None = words[0] if words else None
        """What is wanted, in words, if it is one value of a usual type."""
        self.example = words[1] if words else "..." if self.is_plain else "{...}"
        """How code may give it."""
        self._for_page = words[2] if words else ""
        told = getattr(self.model, "_description", None)
        doc: Any = None if self.is_plain or told else self.model.__dict__.get("__doc__")
        self.description: str | None = told if isinstance(told, str) else doc

    def fields(self) -> list[dict[str, Any]]:
        """Return the fields of the form: name, label, kind, what is filled in, what is allowed."""
        schema: dict[str, Any]
        try:
            schema = self.model.model_json_schema()
        except Exception:  # a type that JSON cannot express
            names = list(self.model.model_fields)
            schema = {"properties": {name: {} for name in names}, "required": names}
        required = set(schema.get("required", ()))
        definitions = schema.get("$defs", {})
        fields = [
            _field(name, told, definitions, name in required)
            for name, told in schema.get("properties", {}).items()
        ]
        if self._for_page:
            fields[0].setdefault("help", f"{_begun(self.hint)}, such as {self._for_page}.")
        return fields

    def from_page(self, texts: Mapping[str, Any]) -> Any:
        """Return the input for what was filled in. Raises `InvalidInput`."""
        values: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for field in self.fields():
            name = field["name"]
            try:
                value = _read(field, texts.get(name))
            except ValueError as error:
                errors[name] = str(error)
                continue
            if value is not _LEFT_OUT:
                values[name] = value
        if errors:
            raise InvalidInput(_sentence(errors), errors)
        return self._validated(
            lambda: self.model.model_validate_json(json.dumps(values)), self._for_page
        )

    def from_code(self, given: Any) -> Any:
        """Return the input for what a program gives. Raises `InvalidInput`.

        That is a dictionary, a model, or of a plain type also the value itself.
        """
        if isinstance(given, self._pydantic.BaseModel) and not isinstance(given, self.model):
            given = given.model_dump()
        values: Any = {} if given is None else self._wrapped(given)
        return self._validated(lambda: self.model.model_validate(values), self.example)

    def from_file(self, given: Any) -> Any:
        """Return the input for a value from a JSON file. Raises `InvalidInput`."""
        text = json.dumps(self._wrapped(given))
        return self._validated(lambda: self.model.model_validate_json(text), self.example)

    def _wrapped(self, given: Any) -> Any:
        """Return a value of a plain type as its field, unless it was given so."""
        keys: list[Any] = list(given) if hasattr(given, "keys") else []
        return {PLAIN: given} if self.is_plain and keys != [PLAIN] else given

    def _validated(self, validate: Callable[[], Any], example: str) -> Any:
        try:
            made = validate()
        except self._pydantic.ValidationError as error:
            errors: dict[str, str] = {}
            for one in error.errors():
                where = [str(part) for part in one["loc"]]
                name, inner = (where[0], where[1:]) if where else ("", [])
                text = self._told(one, example) or one["msg"].removeprefix("Value error, ")
                place = f"{'.'.join(inner)}: " if inner else ""
                errors.setdefault(name, f"{place}{text}")
            raise InvalidInput(_sentence(errors), errors) from None
        return getattr(made, PLAIN) if self.is_plain else made

    def _told(self, error: Mapping[str, Any], example: str) -> str | None:
        """Say what is wanted where not even the type fits; `None` if something else is wrong."""
        kind: str = error["type"]
        if self.hint is None or not (kind == "missing" or kind.endswith(_NOT_OF_TYPE)):
            return None
        such = f", such as {example}" if example else ""
        got = "" if kind == "missing" else f", not {short(error['input'])}"
        return f"{_begun(self.hint)} is wanted{such}{got}."

    def shown(self, value: Any) -> dict[str, str]:
        """Return short forms of an answer by field, for the history."""
        if self.is_plain:
            return {PLAIN: short(value)}
        return {name: short(getattr(value, name)) for name in self.model.model_fields}


_NOT_OF_TYPE = ("_type", "_parsing", "_from_float", "_from_datetime_parsing")


def _bare(kind: Any) -> Any:
    """Return a type without what is said about it, and without `None` beside it."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    several = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) in (Union, UnionType) and len(several) == 1:
        return _bare(several[0])
    return kind


def _begun(words: str | None) -> str:
    """Return words as the beginning of a sentence."""
    return f"{(words or '')[:1].upper()}{(words or '')[1:]}"


_LEFT_OUT: Any = object()


def _field(
    name: str, told: dict[str, Any], definitions: dict[str, Any], required: bool
) -> dict[str, Any]:
    """Return one field as a front end draws it, from its JSON schema."""
    nullable, schema = _unwrapped(told, definitions)
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    kind = _KINDS.get(schema.get("type", ""), "json")
    kind = _FORMATS.get(schema.get("format", ""), kind) if kind == "text" else kind
    if schema.get("writeOnly"):
        kind = "secret"
    field: dict[str, Any] = {
        "name": name,
        "label": told.get("title") or schema.get("title") or name,
        "kind": "select" if options is not None else kind,
        "required": required and not nullable,
        "help": told.get("description") or schema.get("description"),
    }
    default = told.get("default", _LEFT_OUT)
    if options is not None:
        field["options"] = [_as_text(option) for option in options]
        field["values"] = options
    if default is not _LEFT_OUT and default is not None:
        field["default"] = default if field["kind"] == "bool" else _as_text(default, field["kind"])
    field["empty"] = None if default is _LEFT_OUT else default
    field["nullable"] = nullable
    for word, ours in _BOUNDS.items():
        if word in schema:
            field[ours] = schema[word]
    if kind == "text" and len(str(field.get("default", ""))) > _LONG_TEXT:
        field["long"] = True
    return {key: value for key, value in field.items() if value is not None}


def _unwrapped(told: dict[str, Any], definitions: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Return whether `None` will do, and the schema of all else, references followed."""
    schema = told
    if "$ref" in schema:
        schema = {**definitions.get(schema["$ref"].rpartition("/")[2], {}), **schema}
    if len(schema.get("allOf", ())) == 1:
        return _unwrapped({**schema["allOf"][0], "title": schema.get("title")}, definitions)
    several = schema.get("anyOf")
    if not several:
        return False, schema
    others = [one for one in several if one.get("type") != "null"]
    if len(others) == 1:
        return len(others) < len(several), _unwrapped(others[0], definitions)[1]
    return len(others) < len(several), {}


def _as_text(value: Any, kind: str = "select") -> str:
    if isinstance(value, str) and kind != "json":
        return value
    return json.dumps(value, ensure_ascii=False, indent=2 if kind == "json" else None)


def _read(field: Mapping[str, Any], text: Any) -> Any:
    """Return what a control of a form holds as JSON has it. Raises `ValueError` saying why not."""
    kind = field["kind"]
    if kind == "bool":
        return bool(text)
    if kind == "select":
        options = field["options"]
        return field["values"][options.index(text)] if text in options else _empty(field, text)
    if not isinstance(text, str) or (not text.strip() and kind != "text") or not text:
        return _empty(field, text)
    if kind == "json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            message = f"This is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
            raise ValueError(message) from None
    return _number(text) if kind in ("integer", "number") else text


def _empty(field: Mapping[str, Any], text: Any) -> Any:
    """Return what a control that was left empty means."""
    if not field.get("required") and "empty" in field and field["kind"] != "text":
        return _LEFT_OUT
    if field.get("nullable"):
        return None
    if field["kind"] == "text" and isinstance(text, str) and not field.get("required"):
        return text
    return _LEFT_OUT


def _number(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _sentence(errors: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" if name else text for name, text in errors.items())


__all__ = ["PLAIN", "InvalidInput", "Wanted"]
