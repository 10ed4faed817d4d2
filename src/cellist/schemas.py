"""The parameters of a flow as JSON: their schema, and values of them."""

import inspect
from typing import Any

from cellist.validation import adapter_of, annotations_of, is_field

_DEFINITIONS = "#/definitions/{model}"


def parameter_schema(signature: inspect.Signature, fn: Any) -> dict[str, Any]:
    """Return the JSON schema of a function's parameters; each has its `position`, from 0.

    Of an annotation that JSON cannot express only title, position and default are told.
    """
    annotations = annotations_of(signature, fn)
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    required: list[str] = []
    for position, (name, parameter) in enumerate(signature.parameters.items()):
        told = _schema_of(annotations.get(name, Any))
        definitions |= told.pop("$defs", {})
        properties[name] = {**told, "title": name, "position": position}
        if is_field(parameter.default):
            if parameter.default.is_required():
                required.append(name)
        elif parameter.default is not parameter.empty:
            properties[name]["default"] = jsonable(parameter.default)
        elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            required.append(name)
    return {
        "title": "Parameters",
        "type": "object",
        "properties": properties,
        "required": required,
        "definitions": definitions,
    }


def _schema_of(annotation: Any) -> dict[str, Any]:
    if annotation is inspect.Parameter.empty:
        return {}
    try:
        return adapter_of(annotation).json_schema(ref_template=_DEFINITIONS)
    except Exception:  # a class of the user's own, or a name that cannot be resolved
        return {}


def jsonable(value: Any) -> Any:
    """Return a value as JSON knows it, or the name of its type in angle brackets."""
    import pydantic_core

    try:
        return pydantic_core.to_jsonable_python(value)
    except (pydantic_core.PydanticSerializationError, ValueError, RecursionError):
        return f"<{type(value).__name__}>"
