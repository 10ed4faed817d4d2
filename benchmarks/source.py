"""The source digest of a task with three helpers: the first, and again when nothing changed."""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import OURS, Row, Size, at_most, interleave, timed
from cellist.caching.source import closure_of

MODULE = '''
LIMIT = {number}


def clean(text):
    """Return the words of a text."""
    return [word.strip(".,;") for word in text.lower().split() if word]


def count(words):
    found = {{}}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def best(counts):
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:LIMIT]


def fit(text, scale=1.0):
    """What a task does: uses three helpers and a number."""
    return [(word, number * scale) for word, number in best(count(clean(text)))]
'''


LONG = "".join(f"\n\ndef other{number}(x):\n    return [x, {number}]\n" for number in range(500))


def modules(folder: Path, count: int, rest: str = "") -> list[Any]:
    """Write modules, all with other code, and return the function `fit` of each."""
    folder.mkdir(parents=True)
    sys.path.insert(0, str(folder))
    found: list[Any] = []
    for number in range(count):
        name = f"{folder.name}{number}"
        (folder / f"{name}.py").write_text(MODULE.format(number=number) + rest)
        importlib.invalidate_caches()
        found.append(importlib.import_module(name).fit)
    return found


def source(size: Size) -> Iterator[Row]:
    """The first source digest of a task, and the next."""
    each = size.items(30, 3)
    place = Path(os.environ["CELLIST_HOME"]).parent
    fresh = iter(modules(place / "subjects", each * (size.rounds + 1) * 2))
    long = iter(modules(place / "long_subjects", size.rounds + 1, LONG))
    known = next(fresh)
    closure_of(known)

    def first_digests() -> float:
        functions = [next(fresh) for _ in range(each - 1)]
        return timed(lambda: [closure_of(function) for function in functions], items=len(functions))

    def first_texts() -> float:
        functions = [next(fresh) for _ in range(each - 1)]
        work = lambda: [inspect.getsource(function) for function in functions]  # noqa: E731  # one line of work
        return timed(work, items=len(functions))

    rounds = interleave(
        size,
        {
            OURS: first_digests,
            "getsource": first_texts,
            "long": lambda: timed(closure_of, next(long)),
            "unchanged": lambda: timed(lambda: [closure_of(known) for _ in range(500)], items=500),
            "getsource again": lambda: timed(
                lambda: [inspect.getsource(known) for _ in range(20)], items=20
            ),
        },
    )
    first = at_most(200e-6, "200 µs")
    yield from rounds.rows("source digest, first", {"getsource": first})
    yield from rounds.rows("source digest, first, long module", {OURS: None}, "long")
    again = at_most(20e-6, "20 µs")
    yield from rounds.rows("source digest, unchanged", {"getsource again": again}, "unchanged")
