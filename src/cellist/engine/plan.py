"""How a definition is to be run: its options resolved once, so that a call only reads them.

A plan is made when the options or the settings it depends on have changed, not at every call.
It also holds the shape of the function's signature, so that an ordinary call is checked with two
comparisons instead of `inspect.Signature.bind`.
"""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

from cellist.exceptions import ParameterBindError
from cellist.model.retries import Delays

_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ABSENT = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

Hook = Callable[..., Any]


def name_of(fn: Any) -> str:
    """Return what a callable is called: its name, for a callable object that of its class."""
    while isinstance(fn, functools.partial):
        fn = cast("Any", fn).func
    return getattr(fn, "__name__", type(fn).__name__)


class Shape:
    """The signature of a function, ready for checking and binding calls.

    It follows its function: IPython's autoreload, for one, puts the code and the defaults of an
    edited function into the old one. A call is told apart by its arguments, defaults among them.
    """

    __slots__ = (
        "_code",
        "_defaults",
        "_fn",
        "_function",
        "_given",
        "_is_plain",
        "_named",
        "is_renewed",
        "most",
        "names",
        "needed",
        "needs_keywords",
        "owner",
        "positional",
        "rest",
        "signature",
        "star",
    )

    def __init__(
        self,
        signature: inspect.Signature,
        owner: str = "the function",
        fn: Callable[..., Any] | None = None,
    ) -> None:
        self.owner = owner
        """Whose it is, for errors: `task 'fetch'`."""
        self.is_renewed = False
        """Whether the function has got another signature since."""
        self._fn: Any = fn
        self._function = _function_of(fn)
        self._read(signature)

    def _read(self, signature: inspect.Signature) -> None:
        function: Any = self._function
        if function is not None:
            self._code, self._given = function.__code__, function.__defaults__
            named = function.__kwdefaults__
            self._named = dict(named) if named else None
        self.signature = signature
        parameters = signature.parameters.values()
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        self.needed = sum(p.default is p.empty for p in positional)
        self.positional = tuple(p.name for p in positional)
        self.star = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        self.most = 1 << 30 if self.star else len(positional)
        self.needs_keywords = any(
            p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters
        )
        self.names = tuple(signature.parameters)
        self._is_plain = all(p.kind in _PLAIN for p in parameters)
        self._defaults = tuple((p.name, p.default) for p in parameters)

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise `ParameterBindError` unless the arguments fit."""
        function = self._function
        if function is not None and (
            function.__defaults__ is not self._given
            or function.__code__ is not self._code
            or (function.__kwdefaults__ and self._has_other_keywords(function))
        ):
            self.is_renewed = True
            self._read(inspect.signature(self._fn))
        fits = not kwargs and not self.needs_keywords and self.needed <= len(args) <= self.most
        if not fits:
            self._bind(args, kwargs)

    def _has_other_keywords(self, function: FunctionType) -> bool:
        """Whether defaults of keywords were changed; by identity, since equal says too little."""
        now, before = function.__kwdefaults__ or {}, self._named or {}
        return now.keys() != before.keys() or any(now[name] is not before[name] for name in now)

    @property
    def may_be_called_bare(self) -> bool:
        """Whether a call without arguments fits."""
        return not self.needed and not self.needs_keywords

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, defaults filled in."""
        found = self._bind_plainly(args, kwargs) if self._is_plain else None
        if found is None:
            bound = self._bind(args, kwargs)
            bound.apply_defaults()
            found = dict(bound.arguments)
        return found

    def _bind_plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Bind without `inspect`, which takes ten times as long; `None` if that is not enough."""
        count = len(args)
        if count > len(self.positional):
            return None
        if not kwargs and count == len(self.names):
            return dict(zip(self.names, args, strict=True))
        found = dict(zip(self.positional, args, strict=False))
        named = 0
        for name, default in self._defaults[count:]:
            if name in kwargs:
                named += 1
                found[name] = kwargs[name]
            elif default is _ABSENT:
                return None
            else:
                found[name] = default
        return found if named == len(kwargs) else None

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
        """Return each argument of a call with the name of the parameter it belongs to."""
        named = list(zip(self.positional, args, strict=False))
        named += [(self.star or "", value) for value in args[len(self.positional) :]]
        named += kwargs.items()
        return named

    def call_of(self, parameters: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments that give these parameters by name."""
        bound = inspect.BoundArguments(self.signature, _ordered(self.names, parameters))
        unknown = [name for name in parameters if name not in self.signature.parameters]
        if unknown:
            self._bind((), parameters)
        return bound.args, bound.kwargs

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            unknown = [name for name in kwargs if name not in self.signature.parameters]
            what = str(error)
            if unknown and self.rest is None:
                what = f"got an unexpected keyword argument {unknown[0]!r}"
            message = (
                f"Error binding parameters of {self.owner}: {what}. It takes {self._told()}, "
                f"the call gave {len(args)} positional argument(s)"
                + (f" and the names {', '.join(map(repr, kwargs))}." if kwargs else ".")
            )
            raise ParameterBindError(message) from None

    def _told(self) -> inspect.Signature:
        """Return the signature without its annotations, which may be long."""
        bare = inspect.Parameter.empty
        known = self.signature.parameters.values()
        return inspect.Signature([one.replace(annotation=bare) for one in known])


def _function_of(fn: Callable[..., Any] | None) -> FunctionType | None:
    """Return the function that a callable has its signature of, if it is one of Python's."""
    told: Any = inspect.unwrap(fn) if fn is not None else None
    told = getattr(told, "__func__", told)
    return told if isinstance(told, FunctionType) else None


def _ordered(names: tuple[str, ...], parameters: dict[str, Any]) -> Any:
    return {name: parameters[name] for name in names if name in parameters}


class Plan:
    """The resolved options of a task or flow. Nothing here changes after it is made."""

    __slots__ = (
        "cache",
        "condition",
        "delays",
        "fn",
        "generator",
        "hooks",
        "inherited",
        "is_async",
        "is_flow",
        "jitter",
        "keeping",
        "log_prints",
        "naming",
        "noun",
        "prepare",
        "prepares",
        "retries",
        "shape",
        "tags",
        "timeout",
        "transacts",
    )

    def __init__(
        self,
        fn: Callable[..., Any],
        shape: Shape,
        *,
        is_async: bool = False,
        is_flow: bool = False,
        retries: int = 0,
        delays: Delays = 0.0,
        jitter: float | None = None,
        condition: Callable[..., Any] | None = None,
        timeout: float | None = None,
        hooks: dict[str, tuple[Hook, ...]] | None = None,
        naming: Callable[[Any], str] | None = None,
        prepare: Callable[[Any], None] | None = None,
        cache: Any = None,
        keeping: Any = None,
        tags: frozenset[str] = frozenset(),
        log_prints: bool | None = None,
        generator: Callable[..., Any] | None = None,
    ) -> None:
        self.fn = fn
        self.generator = generator
        """The generator function of which `fn` lists the values, `None` for other functions."""
        self.shape = shape
        self.is_async = is_async
        self.is_flow = is_flow
        self.noun = "Flow" if is_flow else "Task"
        self.retries = retries
        self.delays = delays
        self.jitter = jitter
        self.condition = condition
        self.timeout = timeout or None
        self.hooks = hooks or {}
        self.transacts = "on_commit" in self.hooks or "on_rollback" in self.hooks
        """Whether a run takes part in the transaction around it, or is one of its own."""
        self.naming = naming
        self.prepare = prepare
        """Checks and coerces the arguments of an execution; its error fails the run."""
        self.prepares = prepare is not None or naming is not None
        """Whether a run has something to do between its inputs and Running."""
        self.cache = cache
        """How the task caches (a `CachePlan`), or the `Reason` why it does not."""
        self.keeping = keeping
        """What it says about the results of runs inside it (a `Keeping`), if anything."""
        self.inherited: Any = None
        """What was last concluded from `keeping` and what is said around it."""
        self.tags = tags
        self.log_prints = log_prints

    def with_cache(self, cache: Any) -> "Plan":
        """Return this plan with another way of caching."""
        copy = object.__new__(Plan)
        for name in Plan.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.cache = cache
        return copy

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, defaults filled in."""
        return self.shape.bind(args, kwargs)
