"""Wrappers around an argument that say how a run is to treat it. All are one-element tuples."""

from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class BaseAnnotation(tuple[T], Generic[T]):
    """A value with a note on how to treat it; equal to others of its own type only."""

    __slots__ = ()

    def __new__(cls, value: T) -> Self:
        """Wrap a value."""
        return super().__new__(cls, (value,))

    def __getnewargs__(self) -> tuple[T]:
        """Return what copies and pickles are made from; a tuple would give itself."""
        return (self.unwrap(),)

    def unwrap(self) -> T:
        """Return the bare value."""
        return super().__getitem__(0)

    @property
    def value(self) -> T:
        """The bare value."""
        return self.unwrap()

    def rewrap(self, value: Any) -> "BaseAnnotation[Any]":
        """Return the same note on another value."""
        return type(self)(value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), super().__hash__()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.unwrap()!r})"


class unmapped(BaseAnnotation[T]):  # noqa: N801 - used like a function
    """Pass the same value to every run of a `map`."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> T:  # pyright: ignore[reportIncompatibleMethodOverride] - any index gives the value
        return self.unwrap()


class allow_failure(BaseAnnotation[T]):  # noqa: N801 - used like a function
    """Run even if the upstream run failed; the task then receives its exception."""

    __slots__ = ()


class quote(BaseAnnotation[T]):  # noqa: N801 - used like a function
    """Pass the value as it is: do not look for futures in it."""

    __slots__ = ()

    def unquote(self) -> T:
        """Return the bare value."""
        return self.unwrap()


class opaque(BaseAnnotation[T]):  # noqa: N801 - used like a function
    """Resolve the value itself if it is a future, but do not look inside it."""

    __slots__ = ()


class freeze(BaseAnnotation[T]):  # noqa: N801 - used like a function
    """A value whose serialised form has been fixed; kept for compatibility."""

    __slots__ = ()

    def unfreeze(self) -> T:
        """Return the bare value."""
        return self.unwrap()


class _Shown(type):
    """Shows a class by its bare name, as a default in a signature."""

    def __repr__(cls) -> str:
        return cls.__name__


class NotSet(metaclass=_Shown):
    """Marks an option that was not given, where `None` means something."""


NOT_SET: Any = NotSet
