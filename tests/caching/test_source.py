"""The corpus of edits: each text is digested by a fresh interpreter with another hash seed.

Never a stale result: every edit that must miss has another digest. Never lost work: every edit
that changes nothing has the same. Cells are run in four ways, one of them a real shell.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.caching.declared_edits import DECLARED
from tests.caching.edits import EDITS, HIT
from tests.caching.found_edits import FOUND
from tests.caching.harder_edits import HARDER
from tests.caching.odd_edits import ODD
from tests.caching.project_edits import PROJECTS
from tests.caching.reading_edits import READ
from tests.caching.subtle_edits import SUBTLE
from tests.caching.subtle_moves import MOVED
from tests.caching.subtle_tasks import TASKED
from tests.caching.typed_edits import TYPED
from tests.caching.wider_edits import WIDER

ROOT = Path(__file__).parents[2]
PARTS = [
    EDITS,
    HARDER,
    ODD,
    SUBTLE,
    MOVED,
    TASKED,
    [*READ, *DECLARED],
    [*WIDER, *TYPED],
    [*PROJECTS, *FOUND],
]
CORPUS = [(edit, part) for part, edits in enumerate(PARTS) for edit in edits]
GENERATED = {"decorated", "templates", "eval code"}
"""Texts with functions that a library made from a text of its own."""
pytestmark = pytest.mark.slow
WAYS = [("plain", "statements"), ("wrapped", "ipython")]


@functools.cache
def digested(part, which, how, seed):
    """Return what an interpreter of its own says of each text of a part of the corpus."""
    texts = list(dict.fromkeys(getattr(edit, which) for edit in PARTS[part]))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("edit_runner.py")), how],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / 'src'}"},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(texts, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize(("before", "after"), WAYS)
@pytest.mark.parametrize(("edit", "part"), CORPUS, ids=[edit.name for edit, _ in CORPUS])
def test_edit(edit, part, before, after):
    old = digested(part, "before", before, "1")[edit.before]
    new = digested(part, "after", after, "2")[edit.after]
    assert "error" not in old, old["error"]
    assert "error" not in new, new["error"]
    assert old["digest"] == old["again"]
    assert new["digest"] == new["again"]
    assert not old["notes"]
    assert not new["notes"]
    differing = sorted(set(old["names"]) ^ set(new["names"]))
    if edit.want == HIT:
        assert old["digest"] == new["digest"], differing
    else:
        assert old["digest"] != new["digest"]
        assert differing, "the key changed, but no component tells why"


@pytest.mark.parametrize("how", [after for _, after in WAYS])
@pytest.mark.parametrize("part", range(len(PARTS)))
def test_no_definition_of_the_corpus_falls_back_to_bytecode(part, how):
    for edit in PARTS[part]:
        if edit.name.partition(",")[0] not in GENERATED:
            assert not digested(part, "after", how, "2")[edit.after]["bytecode"], edit.name


def test_names_are_unique():
    names = [edit.name for edit, _ in CORPUS]
    assert sorted(set(names)) == sorted(names)


UNLOADED = """
import sys
import cellist.caching.source as source
def f(n):
    import sqlite3
    import numpy as np
    from numpy import linalg, zeros
    import numpy.random
    return sqlite3.connect, np.ndarray.__doc__, linalg.norm, zeros(n), numpy.random.default_rng, np
if sys.argv[1] == "loaded":
    import numpy.linalg
assert ("numpy" in sys.modules) == (sys.argv[1] == "loaded")
before = source.closure_of(f)
assert ("numpy" in sys.modules) == (sys.argv[1] == "loaded")
f(1)
assert source.closure_of(f) == before
print(before.digest)
"""


def test_a_library_counts_the_same_whether_it_is_loaded_or_not(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNLOADED, "utf-8")
    digests = {
        subprocess.run(
            [sys.executable, str(script), how], check=True, capture_output=True, text=True
        ).stdout
        for how in ("loaded", "unloaded")
    }
    assert len(digests) == 1
