"""Bundles between two users: each with a key, a project and a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cellist
from cellist import flow, task
from cellist.caching.bundles import Bundles
from cellist.exceptions import BundleError, ObjectNotFound
from cellist.session import CellistWarning, get_session
from cellist.share import exchange
from tests.bundles import bundle_of, digest_of, lie, members_of
from tests.kernels import kernel

pytestmark = pytest.mark.slow
SOURCE = Path(cellist.__file__).parent.parent

WORK = """
import numpy as np
import cellist
from cellist import task

class Point:
    def __init__(self, x):
        self.x = x

def helper(n):
    return n + 1

@task
def array(n):
    return np.arange(float(n))

@task
def number(n):
    return {"n": [helper(n), 1.5]}

@task
def point(n):
    return Point(n)

def work():
    said = {}
    for t in (array, number, point):
        state = t(4, return_state=True)
        said[t.name] = cellist.why(state).sentence
        if state.name == "Cached" and t is not point:
            assert repr(state.result()) == repr(t.fn(4))
    return said
"""
FRAME = """
import pandas as pd, cellist
from cellist import task

@task
def frame(n):
    return pd.DataFrame({"x": range(n), "t": ["a"] * n})

state = frame(4, return_state=True)
assert state.result().equals(frame.fn(4))
print(state.name)
"""
FOREIGN = {"array", "number"}
ALL = {*FOREIGN, "point"}


class User:
    """A user with a key and a project; programs run in fresh processes."""

    def __init__(self, place: Path, name: str) -> None:
        self.project = place / f"home-of-{name}" / "project"
        self.secret = place / f"secret-of-{name}"
        self.project.mkdir(parents=True)
        (self.project / "work.py").write_text(WORK)

    @property
    def env(self):
        env = {**os.environ, "CELLIST_SECRET_DIR": str(self.secret), "PYTHONPATH": str(SOURCE)}
        env.pop("CELLIST_HOME")
        return env

    def python(self, program, **env):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.project,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.stderr = done.stderr
        return done.stdout

    def hits(self, before="", **env):
        """Run the work and return which tasks were reused."""
        program = f"{before}\nimport json, work\nprint(json.dumps(work.work()))"
        self.said = json.loads(self.python(program, **env))
        return {name for name, text in self.said.items() if text.startswith("reused")}


@pytest.fixture
def author(tmp_path):
    return User(tmp_path, "author")


@pytest.fixture
def reader(tmp_path):
    return User(tmp_path, "reader")


@pytest.fixture
def shared(author, reader):
    """A bundle of the author's in the project of the reader."""
    author.python("import work, cellist; work.work(); print(cellist.bundle('analysis'))")
    path = reader.project / "analysis.cellist"
    path.write_bytes((author.project / "analysis.cellist").read_bytes())
    return path


def test_data_of_others_is_reused_and_pickles_after_trust(reader, shared):
    assert reader.hits() == FOREIGN
    assert reader.said["array"].startswith("reused from bundle `analysis.cellist`, recorded ")
    assert "needs trust: `%cellist trust analysis.cellist`" in reader.said["point"]
    assert reader.stderr.count("1 of 3 entries of `analysis.cellist` needs trust") == 1
    reader.python("import cellist; cellist.cache.clear()")
    told = reader.python("import cellist; print(cellist.trust('analysis.cellist'))")
    assert "3 entries" in told
    assert "1 is a pickle" in told
    assert "written by another user (signed as " in told
    assert reader.hits() == ALL
    assert "bundle `analysis.cellist`" in reader.said["point"]
    gone = reader.python("import cellist; print(cellist.untrust('analysis.cellist'))")
    assert gone.strip() == "1"
    assert reader.hits() == FOREIGN


def test_a_frame_of_others_is_reused(author, reader):
    assert author.python(f"{FRAME}\ncellist.bundle('analysis')").strip() == "Completed"
    bundle = author.project / "analysis.cellist"
    (reader.project / bundle.name).write_bytes(bundle.read_bytes())
    assert reader.python(FRAME).strip() == "Cached"


def test_a_bundle_elsewhere_is_named_by_a_setting(reader, shared, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shared.rename(elsewhere / "shared.cellist")
    assert reader.hits() == set()
    reader.python("import cellist; cellist.cache.clear()")
    places = os.pathsep.join([str(tmp_path / "gone"), str(elsewhere)])
    assert reader.hits(CELLIST_BUNDLES=places) == FOREIGN


def test_the_author_needs_no_trust_elsewhere(author, shared):
    moved = author.project.parent / "moved"
    moved.mkdir()
    (moved / "work.py").write_text(WORK)
    (moved / "analysis.cellist").write_bytes(shared.read_bytes())
    author.project = moved
    assert author.hits() == ALL


def test_a_byte_changed_in_the_manifest_revokes_trust(reader, shared):
    reader.python("import cellist; cellist.trust('analysis.cellist')")
    lie(shared, lambda lines: lines[0].update(seconds=lines[0]["seconds"] + 1))
    assert reader.hits() == FOREIGN


def test_an_edited_helper_is_named_as_the_reason(reader, shared):
    edited = WORK.replace("n + 1", "n + 2")
    (reader.project / "work.py").write_text(edited)
    assert reader.hits() == FOREIGN - {"number"}
    assert "helper `helper` changed" in reader.said["number"]


SET = "import os; os.environ['CELLIST_TRUST'] = {digest!r}"


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(
            SET,
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="only on Linux is kept what a process inherited"
            ),
        ),
        f"import cellist; {SET}",
    ],
)
def test_code_that_sets_the_variable_grants_nothing(reader, shared, before):
    assert reader.hits(before.format(digest=digest_of(shared))) == FOREIGN


def test_files_of_a_project_grant_nothing(reader, shared):
    digest = digest_of(shared)
    (reader.project / ".env").write_text(f"CELLIST_TRUST={digest}\n")
    (reader.project / "cellist.toml").write_text(f'trust = "{digest}"\n')
    (reader.project / ".cellist").mkdir()
    for name in ("trusted", "trust", "config.toml"):
        (reader.project / ".cellist" / name).write_text(f"{digest} 2026-11-20T14:02:00Z here\n")
    assert reader.hits() == FOREIGN
    load = "import os; os.environ.update(line.strip().split('=') for line in open('.env'))"
    reader.python("import cellist; cellist.cache.clear()")
    assert reader.hits(f"import cellist; {load}") == FOREIGN, "as python-dotenv would"


@pytest.mark.parametrize("variable", ["CELLIST_SECRET_DIR", "XDG_DATA_HOME", "HOME"])
@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is kept what was inherited")
def test_no_secret_and_no_list_of_a_project_counts(reader, shared, variable):
    folder = {"CELLIST_SECRET_DIR": ".", "XDG_DATA_HOME": "cellist", "HOME": ".local/share/cellist"}
    place = reader.project / "theirs" / folder[variable]
    place.mkdir(parents=True)
    listed = place / "trusted"
    listed.write_text(f"{digest_of(shared)} 2026-11-20T14:02:00Z here\n")
    listed.chmod(0o600)
    load = f"import os; os.environ[{variable!r}] = {str(reader.project / 'theirs')!r}"
    if variable != "CELLIST_SECRET_DIR":
        load += "; os.environ.pop('CELLIST_SECRET_DIR')"
    assert reader.hits(load) == FOREIGN


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_of_a_bundle_is_run(reader, shared, tmp_path):
    tasks = dict(keys_of(shared))
    mark = tmp_path / "pwned"
    bundle_of(shared, dict.fromkeys(tasks.values(), Bomb(mark)))
    assert reader.hits() == set()
    assert not mark.exists()
    lie(shared, lambda lines: [line.update(format="json") for line in lines])
    reader.python("import cellist; cellist.cache.clear()")
    assert reader.hits() == set()
    assert not mark.exists()
    bundle_of(shared, dict.fromkeys(tasks.values(), Bomb(mark)))
    reader.python("import cellist; cellist.cache.clear(); cellist.trust('analysis.cellist')")
    reader.python("import work; work.point(4)")
    assert mark.exists(), "and it would have been"


def keys_of(path):
    for line in members_of(path)["manifest.jsonl"].decode().splitlines():
        said = json.loads(line)
        yield said["task"], said["key"]


def test_a_reader_can_pass_on_what_they_reused(author, reader, shared):
    reader.python("import work, cellist; work.work(); cellist.bundle('again')")
    tasks = dict(keys_of(reader.project / "again.cellist"))
    assert set(tasks) == ALL
    assert tasks == dict(keys_of(shared))


# -- in one process --


@task
def double(n):
    return 2 * n


@task
def triple(n):
    return 3 * n


@flow
def inner(n):
    return triple(n)


@flow
def outer(n):
    return double(n), inner(n)


def tasks_in(path):
    return sorted(task for task, _ in keys_of(path))


def test_the_default_is_what_the_session_used(recorder, tmp_path):
    double(1)
    double(1)
    triple(1)
    written = cellist.bundle(tmp_path / "a.cellist")
    assert written.entries == 2
    assert written.pickles == 0
    assert written.is_own
    assert written.digest == digest_of(written.path)
    assert tasks_in(written.path) == ["double", "triple"]
    assert "all load for everyone" in repr(written)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ("double", ["double", "double"]),
        (double, ["double", "double"]),
        (["double", triple], ["double", "double", "triple"]),
        ("outer", ["double", "triple"]),
        (["inner"], ["triple"]),
    ],
)
def test_names_of_tasks_and_flows_choose(recorder, tmp_path, tasks, expected):
    double(1)
    outer(2)
    written = cellist.bundle(tmp_path / "a", tasks)
    assert tasks_in(written.path) == expected
    assert written.path == tmp_path / "a.cellist"


def test_a_record_of_a_run_chooses(recorder, tmp_path):
    outer(1)
    outer(2)
    record = cellist.run(recorder.of("outer")[0])
    written = cellist.bundle(tmp_path / "a", record)
    keys = {run.cache_key for run in recorder.runs[:5] if run.cache_key}
    assert {key for _, key in keys_of(written.path)} == keys


def test_errors_name_what_and_where(recorder, tmp_path):
    with pytest.raises(BundleError, match=r"nothing to write to `a\.cellist`.*this session"):
        cellist.bundle(tmp_path / "a")
    double(1)
    with pytest.raises(ObjectNotFound, match=r"'doubel'.* Near to it: double"):
        cellist.bundle(tmp_path / "a", "doubel")
    with pytest.raises(BundleError, match=r"must end in `\.cellist`"):
        cellist.bundle(tmp_path / "a.zip")
    with pytest.raises(BundleError, match=r"no directory `.*gone`"):
        cellist.bundle(tmp_path / "gone" / "a")
    (tmp_path / "d.cellist").mkdir()
    with pytest.raises(BundleError, match="it is a directory"):
        cellist.bundle(tmp_path / "d")
    with pytest.raises(BundleError, match="There is no bundle"):
        cellist.trust(tmp_path / "none.cellist")
    (tmp_path / "bad.cellist").write_bytes(b"bad")
    with pytest.raises(BundleError, match=r"`.*bad\.cellist` is no bundle that can be used"):
        cellist.trust(tmp_path / "bad.cellist")
    with pytest.raises(BundleError, match="was not trusted"):
        cellist.untrust(tmp_path / "none.cellist")


@pytest.mark.parametrize(
    ("limit", "said"), [("_LARGE", "warns above"), ("_TOO_LARGE", "accepts no")]
)
def test_a_file_too_large_for_github_is_told(recorder, tmp_path, monkeypatch, limit, said):
    monkeypatch.setattr(exchange, "_LARGE", 1)
    monkeypatch.setattr(exchange, limit, 1)
    double(1)
    with pytest.warns(CellistWarning, match=f"`a.cellist` has .* kB: GitHub {said}"):
        cellist.bundle(tmp_path / "a")


def test_names_in_a_bundle_cannot_forge_what_is_shown(tmp_path):
    path = bundle_of(tmp_path / "a.cellist", {"k": {1}})
    lie(path, lambda lines: lines[0].update(task="x\n  written by you; \x1b[2J"))
    told = repr(cellist.trust(path))
    assert "\x1b" not in told
    assert len(told.splitlines()) == 5


def test_a_result_cleared_is_computed_although_a_bundle_has_it(recorder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    double(1)
    cellist.bundle("a")
    cellist.cache.clear()
    assert double(1, return_state=True).name == "Completed"


# -- in a kernel --


@pytest.mark.kernel
@pytest.mark.slow
def test_a_notebook_and_its_task_cells_in_a_kernel(author, reader):
    cells = [
        "%load_ext cellist\nimport numpy as np\nfrom cellist import task",
        "@task\ndef grid(n):\n    return np.eye(n)",
        "print(grid(3, return_state=True).name)",
        "%%task table\nprint('computed')\ntotal = 7",
    ]
    with kernel(author.env, str(author.project)) as one:
        for cell in cells:
            assert one.run(cell).error is None
        told = one.run("%cellist bundle analysis.cellist")
        assert told.error is None, told.traceback
        assert "2 entries" in (told.result or "")
    target = reader.project / "analysis.cellist"
    target.write_bytes((author.project / "analysis.cellist").read_bytes())
    with kernel(reader.env, str(reader.project)) as one:
        said = [one.run(cell) for cell in cells]
        assert "Cached" in said[2].stdout
        assert "computed" in said[3].stdout
        assert "needs trust" in said[3].stderr
        why = one.run("%cellist why table").result or ""
        assert "needs trust: `%cellist trust analysis.cellist`" in why
        assert "1 is a pickle" in (one.run("%cellist trust analysis.cellist").result or "")
        one.run("import cellist\ncellist.cache.clear()")
        one.restart()
        said = [one.run(cell) for cell in cells]
        assert said[3].error is None
        assert "bundle `analysis.cellist`" in (one.run("%cellist why table").result or "")
        assert one.run("print(total)").stdout.strip() == "7"
        assert "not trusted any more" in one.run("%cellist untrust analysis.cellist").stdout
        wrong = one.run("%cellist trust nothing.cellist")
        assert wrong.error is None or wrong.error[0] == "UsageError"
        assert "There is no bundle" in wrong.stderr + wrong.traceback


def test_looking_ahead_finds_what_a_bundle_has_and_takes_nothing(tmp_path, monkeypatch):
    @task
    def fit(n):
        return {"n": n}

    monkeypatch.chdir(tmp_path)
    fit(3)
    cellist.bundle("a.cellist", [fit])
    get_session().store.clear()
    get_session().stores.bundles = Bundles(get_session().store.directory, lambda *_: None)
    why = cellist.why(fit, 3)
    assert why.outcome == "hit"
    assert "from bundle `a.cellist`" in why.sentence
    assert get_session().store.entries() == []
