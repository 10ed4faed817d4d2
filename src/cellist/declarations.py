"""What a task reads besides its arguments and its code, said so that it counts for the cache.

    @task
    def fit(path: File): ...             # the argument counts by what the file holds
    fit("flights.csv")

    @task(depends_on=[File("params.yml"), Env("MODEL")])
    def train(table): ...

    table = load(File("flights.csv"))    # as a value: the task opens it like any path

An annotation only says how an argument counts: the function gets what the caller passed, such as
the plain text. `Annotated[str, File]` says the same and leaves the type to be `str`.

`depends_on` also takes functions, classes, modules and other values. It counts with every policy
that gives a key. `@task(versions=...)` says how much of the version of an installed library counts:
"minor" (`major.minor`, the default), "major", "exact" or "off", or a mapping such as
`{"pandas": "exact", "*": "major"}`; `CELLIST_TASKS_VERSIONS=minor,pandas=exact` says it for all
tasks. With `@task(strict=True)` or `CELLIST_TASKS_STRICT=1`, an argument or a global that has no
stable digest raises `HashError` before the task runs; else the run is not cached, or the global is
not tracked, and the run says so.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from cellist.caching.contents import file_digest, folder_digests
from cellist.caching.declared import may_be_secret
from cellist.caching.refusals import Misdeclared, Refusal
from cellist.model.reasons import Component

_LARGEST_TEXT = 4096
"""Bytes of the largest file of which a reason can say which line has changed."""
_MOST_NAMED = 100
"""Files of a folder that are told by name."""

AnyPath = str | os.PathLike[str]


class _Declared(ABC):
    """What the declarations have in common: they are compared, shown and pickled by what they say.

    Flows with such a parameter take a plain text or path for it as well, and make it one of these.
    """

    __slots__ = ()

    @abstractmethod
    def _said(self) -> tuple[str, ...]:
        """Return the arguments it was made with."""

    @abstractmethod
    def like(self, value: Any) -> Any:
        """Return what a plain text or path stands for where one like this is declared."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._said() == self._said()

    def __hash__(self) -> int:
        return hash((type(self), self._said()))

    def __reduce__(self) -> Any:
        return type(self), self._said()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._said()))})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let pydantic make one of a plain text or path."""
        from pydantic_core import core_schema

        del source, handler

        def made(value: Any) -> Self:
            make: Any = cls
            try:
                return value if isinstance(value, cls) else make(value)
            except TypeError as error:
                raise ValueError(str(error)) from None  # which pydantic takes for a refusal

        return core_schema.no_info_plain_validator_function(made)


class _Place(_Declared, os.PathLike[str]):
    """A path whose content counts."""

    __slots__ = ("_text",)

    def __init__(self, path: AnyPath) -> None:
        if not isinstance(path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance] - a user may pass anything
            message = f"{type(self).__name__} needs a path, not {type(path).__name__} {path!r:.60}."
            raise TypeError(message)
        self._text = os.fspath(path)
        if not self._text:
            message = f"{type(self).__name__} needs a path, not an empty text."
            raise ValueError(message)

    @property
    def path(self) -> Path:
        """The path as it was given."""
        return Path(self._text)

    def __fspath__(self) -> str:
        return self._text

    def __str__(self) -> str:
        return self._text

    def _said(self) -> tuple[str, ...]:
        return (self._text,)

    def _shown(self) -> str:
        """Return the name for people: from the working directory, so that a project may move."""
        try:
            return self.path.relative_to(Path.cwd()).as_posix()
        except (OSError, ValueError):
            return self.path.as_posix()

    def _read(self, read: Callable[[], Any]) -> Any:
        """Return what is read, `None` if there is nothing. Raises `Misdeclared` if it cannot be."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            message = "is a folder: declare it with `Folder`."
        except NotADirectoryError:
            if not self.path.exists():  # below a file, where nothing can be
                return None
            message = "is no folder: declare it with `File`."
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"cannot be read ({reason}): see to its path and to your rights to it."
        raise Misdeclared(f"{self!r} {message}")


class File(_Place):
    """A file that counts by its content: what is in it, not its name, place or time.

    It is a path to whoever gets it: `open(file)`, `pandas.read_csv(file)`, `file.path`. A relative
    path is looked up from the working directory, whenever a key is made. A file that is not there
    is a state of its own, and no error. If the content changes while a task runs, the result is
    not kept. Raises `TypeError` or `ValueError` for what is no path.
    """

    __slots__ = ()

    def __cellist_key__(self) -> tuple[str, ...]:
        """Return what the file is equal by."""
        digest = self._read(lambda: file_digest(self._text))
        return ("missing",) if digest is None else ("content", digest)

    def __cellist_component__(self) -> Component:
        """Return how the file is told of, with its text if that is short."""
        name = self._shown()
        try:
            size = self.path.stat().st_size
            held = self.path.read_bytes() if 0 < size <= _LARGEST_TEXT else b""
        except OSError:
            return Component("file", name, "", "missing")
        state = f"{size:,} bytes"
        if not held or b"\0" in held or may_be_secret(name):
            return Component("file", name, "", state)
        try:
            return Component("file", name, "", f"{state}\n{held.decode()}")
        except UnicodeDecodeError:
            return Component("file", name, "", state)

    def like(self, value: Any) -> Any:
        """Return the file that a plain text or path stands for, other values as they are."""
        return _made(File, value)


class Folder(_Place):
    """A folder that counts by the files in it: their names from there and their contents.

    `glob` says which files, as for `pathlib.Path.glob`; by default all, at any depth. Folders
    within count only by their files, and links to folders are not followed. It is a path to
    whoever gets it; `folder / "a.csv"` is the path of a file in it. Raises `TypeError` or
    `ValueError` for what is no path, and `ValueError` for a pattern that leads out of the folder.
    """

    __slots__ = ("glob",)

    def __init__(self, path: AnyPath, glob: str = "**/*") -> None:
        super().__init__(path)
        parts = Path(glob).parts if isinstance(glob, str) else ()  # pyright: ignore[reportUnnecessaryIsInstance] - a user may pass anything
        if not parts or ".." in parts or Path(glob).anchor:
            message = f"Folder(glob={glob!r:.60}) must be a pattern below the folder, as '*.csv'."
            raise ValueError(message)
        self.glob = f"{glob}/*" if parts[-1] == "**" else glob  # Pythons differ in what `**` means

    def _said(self) -> tuple[str, ...]:
        return (self._text,) if self.glob == "**/*" else (self._text, self.glob)

    def files(self) -> list[Path]:
        """Return the paths of the files that count, sorted by name. Raises `OSError`."""
        return [self.path / name for name in sorted(self._names())]

    def _names(self) -> list[str]:
        return [one.relative_to(self.path).as_posix() for one in self.path.glob(self.glob)
                if one.is_file()]  # fmt: skip

    def __truediv__(self, name: AnyPath) -> Path:
        return self.path / name

    def _digests(self) -> dict[str, str] | None:
        return self._read(lambda: folder_digests(self._text, self.glob))

    def __cellist_key__(self) -> tuple[Any, ...]:
        """Return what the folder is equal by."""
        digests = self._digests()
        return ("missing",) if digests is None else ("content", tuple(digests.items()))

    def __cellist_component__(self) -> Component:
        """Return how the folder is told of, with the names of its files if they are few."""
        name = self._shown()
        try:
            digests = self._digests()
        except Refusal:
            digests = None
        if digests is None:
            return Component("folder", name, "", "missing")
        state = f"{len(digests):,} file{'s' if len(digests) != 1 else ''}"
        if not 0 < len(digests) <= _MOST_NAMED:
            return Component("folder", name, "", state)
        lines = "\n".join(f"{digest[:8]} {file}" for file, digest in digests.items())
        return Component("folder", name, "", f"{state}\n{lines}")

    def like(self, value: Any) -> Any:
        """Return the folder that a plain text or path stands for, other values as they are."""
        return Folder(value, self.glob) if _is_path(value) else value


class Env(_Declared):
    """An environment variable that counts by its value. Unset is not the same as empty.

    Raises `TypeError` or `ValueError` for what is no name of a variable.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a user may pass anything
            message = f"Env needs the name of a variable, not {type(name).__name__} {name!r:.60}."
            raise TypeError(message)
        if not name or "=" in name or "\0" in name:
            message = f"Env({name!r:.60}): no variable can have this name."
            raise ValueError(message)
        self.name = name

    @property
    def value(self) -> str | None:
        """The value now, `None` if the variable is not set."""
        return os.environ.get(self.name)

    def _said(self) -> tuple[str, ...]:
        return (self.name,)

    def __cellist_key__(self) -> tuple[str | None, ...]:
        """Return what the variable is equal by."""
        return (self.name, self.value)

    def __cellist_component__(self) -> Component:
        """Return how the variable is told of; what may be a secret is not shown."""
        value = self.value
        shown = "not set" if value is None else value or "empty"
        if value is not None and may_be_secret(self.name):
            shown = ""
        return Component("environment variable", self.name, "", shown.partition("\n")[0])

    def like(self, value: Any) -> Any:
        """Return the variable that a plain text names, other values as they are."""
        return Env(value) if isinstance(value, str) and value else value


def _is_path(value: Any) -> bool:
    """Whether a value is a path, and not one that says already how it counts."""
    return (
        isinstance(value, (str, os.PathLike)) and value != "" and not isinstance(value, _Declared)
    )


def _made(kind: Any, value: Any) -> Any:
    return kind(value) if _is_path(value) else value


__all__ = ["Env", "File", "Folder"]
