"""Why a task run was a hit or a miss: the named parts of a cache key, and what is said of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from cellist.model.later import later
from cellist.model.reason_text import html_of, text_of

if TYPE_CHECKING:
    import difflib
else:
    difflib = later("difflib", globals())


class Component(NamedTuple):
    """One named part of a cache key.

    `kind` is one of argument, source (the task's own code), function, class, module, global,
    closure, default, package, policy, version, file, folder, environment variable, extra (a value
    of `depends_on`) and untracked. `name` is what a user calls it,
    such as `clean` or `pandas`. `digest` is hex. `text` is what a person compares: source text for
    code, a short form for a value, a version for a package. Of other things than code, the first
    line is the short form; what they hold may follow below, such as the text of a file.
    """

    kind: str
    name: str
    digest: str
    text: str = ""

    @property
    def label(self) -> str:
        """How the component is called in a sentence."""
        return _LABELS.get(self.kind, "{kind} `{name}`").format(kind=self.kind, name=self.name)


_LABELS = {
    "argument": "argument `{name}`",
    "source": "its own source",
    "function": "helper `{name}`",
    "class": "class `{name}`",
    "module": "module `{name}`",
    "global": "global `{name}`",
    "closure": "closure variable `{name}`",
    "default": "default of `{name}`",
    "package": "package `{name}`",
    "file": "file `{name}`",
    "extra": "`{name}`",
    "version": "its version",
}


CODE_KINDS = frozenset({"source", "function", "class", "module"})
"""Kinds of components whose text is source code."""


class Change(NamedTuple):
    """What differs between two keys in one component; `before` or `after` is empty if absent."""

    kind: str
    name: str
    before: str
    after: str
    summary: str

    @property
    def gist(self) -> str:
        """What changed, without the values, which differ between the runs of a mapped task."""
        head = self.summary.partition(": ")[0]
        if self.kind != "argument" or " gave another " in head:
            return head
        return f"argument `{self.name}` changed"

    @property
    def diff(self) -> str:
        """A unified diff of a changed code or text of a file, empty for other changes."""
        if self.kind in CODE_KINDS:
            old, new = self.before, self.after
        else:
            old, new = (text.partition("\n")[2] for text in (self.before, self.after))
            if not (old and new):
                return ""
        sides = old.splitlines(), new.splitlines()
        return "\n".join(difflib.unified_diff(*sides, "before", "after", lineterm="", n=2))


class _Later:
    """Room for what makes a reason's fields when the first of them is read, and from what."""

    __slots__ = ("_from", "_make")
    _from: Any
    _make: "Callable[[Any], Reason] | None"


@dataclass(frozen=True, slots=True)
class Reason(_Later):
    """Why a run was a hit or a miss, as data and as one sentence; shown with its changes.

    `outcome` is `hit`, `miss` or `off` (nothing was looked up). `code` is one of reused, accepted,
    first_run, nothing_kept, changed, expired, refreshed, not_deterministic, unreadable, evicted,
    no_cache, unstable, mutated, no_result, run_read, readonly, switched_off, disabled, waits and
    upstream. `saved` is the seconds a hit saved.
    """

    outcome: str
    code: str
    sentence: str
    changes: tuple[Change, ...] = ()
    recorded_at: float | None = None
    saved: float | None = None
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.sentence

    def __getitem__(self, name: str) -> Any:
        """Return a part by its name in `as_dict`."""
        return self.as_dict()[name]

    @property
    def gist(self) -> str:
        """The sentence without values that differ between the runs of a mapped task."""
        if self.code != "changed":
            return self.sentence
        return f"ran: {'; '.join(dict.fromkeys(change.gist for change in self.changes))}"

    @property
    def text(self) -> str:
        """The sentence and below it what changed, with diffs of code, and the notes."""
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self._repr_html_()}

    @staticmethod
    def later(make: "Callable[[Any], Reason]", told: Any) -> "Reason":
        """Return a reason that is what `make` returns of `told`, called when a field is read.

        A hit must not pay for a sentence that nobody may read; nor the collector of garbage, which
        looks at each object again and again, for more than one object a hit.
        """
        reason = _new(Reason)
        _set_make(reason, make)
        _set_from(reason, told)
        return reason

    def __getattr__(self, name: str) -> Any:
        """Fill in the fields of a reason made by `later`; called for what is not there yet."""
        if name not in _FIELDS:
            raise AttributeError(name)
        told = self._from  # before `_make`, which is taken away first
        make = self._make
        if make is not None:  # else another thread has just filled them in
            made = make(told)
            for one in _FIELDS:
                _set(self, one, getattr(made, one))
            _set_make(self, None)
            _set_from(self, None)
        return _get(self, name)

    def as_dict(self) -> dict[str, Any]:
        """Return the reason as plain data, fit for JSON."""
        return {
            "outcome": self.outcome,
            "code": self.code,
            "sentence": self.sentence,
            "changes": [{**change._asdict(), "diff": change.diff} for change in self.changes],
            "recorded_at": self.recorded_at,
            "saved": self.saved,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Reason":
        """Return the reason that `as_dict` was made of."""
        return cls(
            told["outcome"],
            told["code"],
            told["sentence"],
            tuple(
                Change(*(one[name] for name in Change._fields)) for one in told.get("changes") or ()
            ),
            told.get("recorded_at"),
            told.get("saved"),
            tuple(told.get("notes") or ()),
        )


_FIELDS = tuple(one.name for one in fields(Reason))
_new, _set, _get = object.__new__, object.__setattr__, object.__getattribute__
_slots: Any = _Later
_set_make, _set_from = _slots._make.__set__, _slots._from.__set__
