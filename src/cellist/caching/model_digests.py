"""Digests of objects of scientific libraries that keep more than what they are.

Such objects are told by their parts, as all others, but for counters of calls, workspace with
whatever lay in memory, and tables filled at the first use: none of these makes two values differ,
and using a value must not look like changing it.
"""

import copy
from collections.abc import Callable, Generator
from typing import Any

from cellist.caching.encoding import node
from cellist.caching.object_rules import object_rule

Rule = Generator[tuple[str, Any], bytes, bytes]
Handler = Callable[[Any], "bytes | Rule"]

_COUNTERS = slice(7, 11)
"""Where the state of a search tree counts trims, leaves, splits and calls."""


def _spline(value: Any) -> Rule:
    """A spline of FITPACK: what was fitted and what came of it, without the workspace."""
    x, y, w, begin, end, degree, smoothing, size, knots, coefficients, residual, *_ = value._data
    parts = (x, y, w, begin, end, degree, smoothing, residual, value.ext)
    kind = yield "", type(value)
    fitted = yield "", (knots[:size], coefficients[:size], value._eval_args)
    return node("spline", kind, (yield "._data", parts), fitted)


def _tree(value: Any) -> Rule:
    state = list(value.__getstate__())
    del state[_COUNTERS]
    kind = yield "", type(value)
    return node("tree", kind, (yield ".__getstate__()", state))


def _bunch(value: Any) -> Rule:
    """A dict whose other attributes are not restored from a pickle."""
    kind = yield "", type(value)
    return node("bunch", kind, (yield "", dict(value)))


def _callbacks(_value: Any) -> bytes:
    """Who is told of changes is not part of a value, and asking numbers the next one."""
    return node("callbacks")


def _colormap(value: Any) -> Rule:
    if not value._isinit:
        value._init()
    return (yield from object_rule(value))


def _vectorizer(value: Any) -> Rule:
    """A reader of texts notes the address of the stop words that it has checked."""
    if _CHECKED in vars(value):
        value = copy.copy(value)
        del value.__dict__[_CHECKED]
    return (yield from object_rule(value))


def _traits(value: Any) -> Rule:
    """A value of traits, which makes some of its defaults only when they are first read."""
    value.trait_values()
    return (yield from object_rule(value))


_CHECKED = "_stop_words_id"

EXACT: dict[str, Handler] = {}
BASES: dict[str, Handler] = {
    "scipy.UnivariateSpline": _spline,
    "sklearn.BinaryTree64": _tree,
    "sklearn.BinaryTree32": _tree,
    "sklearn.Bunch": _bunch,
    "sklearn._VectorizerMixin": _vectorizer,
    "traitlets.HasTraits": _traits,
    "matplotlib.CallbackRegistry": _callbacks,
    "matplotlib.Colormap": _colormap,
}
