"""What a paused flow may ask for: models derived from `RunInput`.

class Approval(RunInput):
approve: bool = Field(description="Publish the report?")
note: str = ""

answer = pause_flow_run(wait_for_input=Approval.with_initial_data(note="all checks are green"))
"""

import copy
from typing import Any, ClassVar, Self

import pydantic


class RunInput(pydantic.BaseModel):
    """A pydantic model whose fields a person fills in while a flow is paused."""

    model_config = pydantic.ConfigDict(extra="forbid")
    _description: ClassVar[str | None] = None

    @classmethod
    def with_initial_data(cls, description: str | None = None, **initial: Any) -> type[Self]:
        """Return a model with these values filled in, and a text to show above the form.

        Raises `ValueError` for a field the model does not have.
        """
        unknown = [name for name in initial if name not in cls.model_fields]
        if unknown:
            message = (
                f"{cls.__name__} has no field {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(cls.model_fields)}."
            )
            raise ValueError(message)
        fields: Any = {
            name: (cls.model_fields[name].annotation, _with_default(cls, name, value))
            for name, value in initial.items()
        }
        made: Any = pydantic.create_model(
            cls.__name__, __base__=cls, __module__=cls.__module__, **fields
        )
        if description is not None:
            made._description = description
        return made


def _with_default(model: type[pydantic.BaseModel], name: str, value: Any) -> Any:
    """Return the field with another default, all else of it kept."""
    field = copy.copy(model.model_fields[name])
    field.default, field.default_factory = value, None
    return field


__all__ = ["RunInput"]
