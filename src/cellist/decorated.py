"""What a task and a flow are once they are made: options, hooks, and the plan made of them.

The options are those the user gave, unset ones left out of account until a run starts, so that a
copy with other options is made from what was said and not from what was concluded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from cellist import settings
from cellist.definitions import check_hooks
from cellist.engine.plan import Plan, Shape
from cellist.model.annotations import NOT_SET
from cellist.model.retries import check_delays, check_jitter, check_retries

Hook = Callable[..., Any]


class Decorated(ABC):
    """The base of `Task` and `Flow`."""

    noun: ClassVar[str]
    hook_kinds: ClassVar[tuple[str, ...]]
    name: str
    fn: Any
    shape: Shape
    """The signature of the function."""
    isstaticmethod: bool
    isclassmethod: bool

    def _keep(self, options: dict[str, Any]) -> None:
        """Keep the options as given, without hooks, which may be added to later."""
        self.options = options
        self._plan: Plan | None = None
        self._plan_settings: Any = None

    def _keep_retries(self, owner: str) -> None:
        given = self.options
        retries, delays = given["retries"], given["retry_delay_seconds"]
        self.retries = None if retries is None else check_retries(retries, owner)
        self.retry_delay_seconds = (
            None if delays is None else check_delays(delays, self.retries or 0, owner)
        )
        self.retry_jitter_factor = check_jitter(given["retry_jitter_factor"], owner)

    def _keep_hooks(self, owner: str) -> None:
        self._hooks = {
            kind: check_hooks(self.options[kind], kind, owner) for kind in self.hook_kinds
        }

    def _add_hook(self, kind: str, fn: Hook) -> Hook:
        self._hooks[kind].extend(check_hooks([fn], kind, f"{self.noun} {self.name!r}"))
        self._plan = None
        return fn

    def on_running(self, fn: Hook) -> Hook:
        """Add a hook for the start of each attempt; usable as a decorator."""
        return self._add_hook("on_running", fn)

    def on_completion(self, fn: Hook) -> Hook:
        """Add a hook for completed runs; usable as a decorator."""
        return self._add_hook("on_completion", fn)

    def on_failure(self, fn: Hook) -> Hook:
        """Add a hook for failed runs; usable as a decorator."""
        return self._add_hook("on_failure", fn)

    @property
    def on_running_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) at the start of each attempt."""
        return self._hooks["on_running"]

    @property
    def on_completion_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) when a run has completed."""
        return self._hooks["on_completion"]

    @property
    def on_failure_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) when a run has failed for good."""
        return self._hooks["on_failure"]

    def hooks(self) -> dict[str, tuple[Hook, ...]]:
        """Return the hooks of each kind that has some."""
        return {kind: tuple(hooks) for kind, hooks in self._hooks.items() if hooks}

    def plan(self) -> Plan:
        """Return the resolved options; made anew when options or settings have changed."""
        now = settings.active()
        plan = self._plan
        if plan is None or self._plan_settings is not now:
            plan = self._plan = self._make_plan(now)
            self._plan_settings = now
        return plan

    @abstractmethod
    def _make_plan(self, now: settings.Settings) -> Plan:
        """Resolve the options under these settings."""

    def _options_with(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with some replaced. Raises `TypeError` for an unknown name."""
        unknown = [name for name in changes if name not in self.options]
        if unknown:
            message = (
                f"with_options() of {self.noun} {self.name!r} got {', '.join(map(repr, unknown))}; "
                f"the options are {', '.join(sorted(self.options))}."
            )
            raise TypeError(message)
        given = {**self.options, **{kind: list(hooks) for kind, hooks in self._hooks.items()}}
        given.update({key: value for key, value in changes.items() if value is not NOT_SET})
        return given

    def _copy(self, options: dict[str, Any]) -> Self:
        """Return one like this with other options, all of them given."""
        make: Any = type(self)  # a subclass, which takes the function and its own options
        kind = staticmethod if self.isstaticmethod else classmethod if self.isclassmethod else None
        return make(kind(self.fn) if kind is not None else self.fn, **options)

    def _changed(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some options changed, which is what `with_options` does."""
        return self._copy(self._options_with(changes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
