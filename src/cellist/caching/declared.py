"""What is said of values that stand for something outside the program: files, folders, variables.

Such a value's type has `__cellist_component__`, which names what it stands for as a component of
its own; `cellist.declarations` has those types. The text of such a component is its state in a
few words (`12 bytes`, `missing`), and below that line, if it is short, what it holds.

The text of any other value is its short form. Where that does not tell all, there follow lines
`name = value` for the items of a dict, the attributes of an object, and the code in it.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from cellist.model.later import later
from cellist.model.previews import short
from cellist.model.reasons import CODE_KINDS, Component

if TYPE_CHECKING:
    import difflib
else:
    difflib = later("difflib", globals())

CONTENT_KINDS = frozenset({"file", "folder"})
"""Kinds of components that are more than their text tells."""
DECLARED_KINDS = CONTENT_KINDS | {"environment variable"}
UNDEFINED = "not defined"
"""The text of a name that code mentions and that means nothing."""
_MOST_NAMED = 3
_MOST_LISTED = 100
_MOST_PARTS = 40
_WIDTH = 60
_CONFIDENTIAL = (
    r"(?i)secret|token|passw|credential|private|api_?key"
    r"|(?:^|_)(?:key|pwd)$|\.(?:pem|key|p12|pfx)$"
)


def component_of(value: object) -> Component | None:
    """Return what a declared value stands for, `None` for any other value; its digest is empty."""
    make = getattr(type(value), "__cellist_component__", None)
    return None if make is None else make(value)


def told(value: object, code: Iterable[Component] = ()) -> str:
    """Return the text that tells a value: a short form, and what it holds if that says too little.

    `code` are the components of the code in it.
    """
    component = component_of(value)
    if component is not None:
        return f"{component.label}\n{component.text}"
    shown = short(value)
    lines = [one.label for one in _within(value)]
    if lines:
        return "\n".join([shown, "", *lines])
    parts = [*_parts(value, shown), *map(_part_of_code, code)]
    return "\n".join([shown, *parts]) if parts else shown


def _parts(value: Any, shown: str) -> Iterator[str]:
    """Yield a line for each item or attribute of a value whose short form does not show them."""
    kind = cast("type[Any]", type(value))
    named: Any = None
    if kind is dict:
        named = value if shown.startswith("dict of ") else None
    elif shown.rpartition(".")[2] == kind.__qualname__.rpartition(".")[2]:
        try:
            named = object.__getattribute__(value, "__dict__")
        except AttributeError:
            named = None
    if type(named) is not dict:
        return
    items = cast("dict[Any, Any]", named).items()
    for name, item in islice(items, _MOST_PARTS):
        if type(name) is str and name.isprintable() and not may_be_secret(name):
            yield f"{name} = {_clip(short(item))}"


def _part_of_code(component: Component) -> str:
    text = "" if component.kind in CODE_KINDS else component.text.partition("\n")[0]
    name = component.name.lstrip(".").removeprefix("__main__.")
    return f"{name} = {_clip(text) or '#' + component.digest[:8]}"


def _within(value: object) -> Iterator[Component]:
    """Yield what the first items of a list, tuple or dict stand for, as far as that is declared."""
    kind = type(value)
    if kind in {list, tuple, dict}:
        items: Iterable[object] = (
            cast("dict[Any, Any]", value).values() if kind is dict else cast("list[Any]", value)
        )
        yield from filter(None, map(component_of, islice(items, _MOST_LISTED)))


def declared_in(components: Iterable[Component]) -> set[tuple[str, str]]:
    """Return kind and name of all that is declared by components, or by values they tell of."""
    found: set[tuple[str, str]] = set()
    for one in components:
        if one.kind in DECLARED_KINDS:
            found.add((one.kind, one.name))
        elif one.kind not in CODE_KINDS:
            found.update(re.findall(_DECLARED, one.text))
    return found


def is_declared(component: Component) -> bool:
    """Whether a component tells of something outside the program, by itself or as a value."""
    return component.kind in DECLARED_KINDS or bool(
        component.kind not in CODE_KINDS and re.match(_DECLARED, component.text)
    )


_DECLARED = f"(?m)^({'|'.join(sorted(DECLARED_KINDS))}) `(.+)`$"


def may_be_secret(name: str) -> bool:
    """Whether what goes by this name should not be shown or written down."""
    last = re.split(r"[/\\]", name)[-1]
    return last.startswith(".") or re.search(_CONFIDENTIAL, last) is not None


def change_of(kind: str, label: str, before: str, after: str) -> str | None:
    """Return what has changed in something declared, `None` if the texts tell of nothing such."""
    if kind in CONTENT_KINDS:
        return f"{label} changed{_content_change(kind, before, after)}"
    first, mark, old = before.partition("\n")
    other, also_marked, new = after.partition("\n")
    if not (mark or also_marked):
        return None
    comparable = first == other or (first.startswith("dict of") and other.startswith("dict of"))
    if comparable and _are_parts(old) and _are_parts(new):
        return f"{label} changed{_parts_changed(old, new)}"
    if first != other:
        return f"{label}: {_clip(first)} → {_clip(other)}"
    return f"{label}: {first} changed{_content_change(first.partition(' ')[0], old, new)}"


def _content_change(kind: str, before: str, after: str) -> str:
    """Return in brackets what has become of a content; nothing where the texts do not tell."""
    first, _, old = before.partition("\n")
    other, _, new = after.partition("\n")
    if old and new:
        return _names_changed(old, new) if kind == "folder" else line_changed(old, new)
    return f" ({first} → {other})" if first and other and first != other else ""


def _are_parts(text: str) -> bool:
    return all(" = " in line for line in text.splitlines())


def _parts_changed(before: str, after: str) -> str:
    """Return in brackets which items or attributes of a value have changed."""
    old, new = (
        {name: shown for name, _, shown in (line.partition(" = ") for line in text.splitlines())}
        for text in (before, after)
    )
    found: list[str] = []
    for name, shown in new.items():
        was = old.get(name)
        if was is None:
            found.append(f"`{name}` is new")
        elif was != shown:
            found.append(f"`{name}` changed" if shown[:1] == "#" else f"`{name}`: {was} → {shown}")
    found += [f"`{name}` is gone" for name in old if name not in new]
    return _listed(found)


def _names_changed(before: str, after: str) -> str:
    """Return which files of a folder have changed; a line is a digest and a name."""
    old, new = (
        {name: digest for digest, _, name in (line.partition(" ") for line in text.splitlines())}
        for text in (before, after)
    )
    found = [f"`{name}` changed" for name in new if old.get(name, new[name]) != new[name]]
    found += [f"`{name}` is new" for name in new if name not in old]
    found += [f"`{name}` is gone" for name in old if name not in new]
    return _listed(found)


def _listed(found: list[str]) -> str:
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return f" ({', '.join([*found[:_MOST_NAMED], *more])})" if found else ""


def line_changed(before: str, after: str, is_code: bool = False) -> str:
    """Return the place of the first difference between two texts, as ` (line 4: …)`.

    In code, where comments and empty lines do not count, it is one that does, if there is one.
    """
    if not before or not after:
        return ""
    old, new = before.splitlines(), after.splitlines()
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    first = ""
    for tag, gone, left, start, end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for number, text in enumerate(new[start:end] or [""], start):
            line = text.strip()
            told = f" (line {number + 1}: `{_clip(line)}`)" if line else f" (line {number + 1})"
            if not is_code or _counts(line) or (start == end and any(map(_counts, old[gone:left]))):
                return told
            first = first or told
    return first


def _counts(line: str) -> bool:
    """Whether a line of code is more than a comment."""
    return line.strip().partition("#")[0] != ""


def _clip(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
