"""`%cellist why` and `%cellist plan`: of names and of calls, in a notebook and as text."""

import re
from collections.abc import Iterator
from keyword import iskeyword
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError

from cellist.notebook import extension
from cellist.notebook.options import flow_magic
from cellist.notebook.task_options import task_magic
from cellist.session import CellistWarning
from tests.kernels import kernel
from tests.shells import Shell, shell

SETUP = """
import cellist
from cellist import flow, task

ran = []

@task(version="1")
def fetch(url, n=1):
    return url * n

@task
def say(what):
    print(what)

@flow
def crawl(urls=("a",)):
    return fetch.map(list(urls))

@flow
def idle():
    return 1

@flow(name="two-names")
def other():
    return fetch("a")

class Job:
    @task
    def size(self, x):
        return x
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Give one shell to all tests here: what it asks leaves nothing behind."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_SECRET_DIR", str(tmp_path_factory.mktemp("secret")))
    with shell(tmp_path_factory.mktemp("shell")) as one:
        assert one.run(SETUP).error is None
        assert one.run("fetch('a')").error is None
        assert one.run("crawl(['b'])").error is None
        assert one.run("%%flow celled\nfetch('c')").error is None
        assert one.run("idle()").error is None
        assert one.run("%%flow blank\n1").error is None
        one.shell.user_ns["Job"] = None
        yield one
    patch.undo()


PLAN = r"Plan of flow `{}`: 1 would be reused \(.* saved\){}\.\n\ntask .*\nfetch-0 .*  reused .*{}"
ANSWERS = {  # line of the user, pattern of the answer
    "why fetch": r"fetch(-\w+)? ran: argument `url`: '.' → 'c'",
    "why 'fetch'": r"fetch(-\w+)? ran: .*",
    "why {fetch.name}": r"fetch(-\w+)? ran: .*",
    "why $name": r"fetch(-\w+)? ran: .*",
    "why fetch('a')": r"fetch\('a'\) would be reused from \d\d:\d\d, saves .*",
    "why fetch(url='b')": r"fetch\(url='b'\) would be reused from .*",
    "why  fetch( 'z', **{'n': 1} ) ": r"fetch\( 'z', .*\) would run: argument `url`: '.' → 'z'",
    "why fetch('a', n=2)": r"fetch\('a', n=2\) would run: argument `n`: 1 → 2",
    "why fetch(*['a'], n=1)": r"fetch\(\*\['a'\], n=1\) would be reused from .*",
    "why fetch(','.join(['a']))": r"fetch\(','\.join\(\['a'\]\)\) would be reused from .*",
    "why say(1)": r"say\(1\) would run: it returns None, which is not kept by default",
    "why crawl": r"fetch-\w+ \(url='b'\) ran: argument `url`: 'a' → 'b'",
    "why celled": r"fetch-\w+ \(url='c'\) ran: argument `url`: '.' → 'c'",
    "why idle": r"[\w-]+: nothing was looked up in the cache\. `%cellist plan idle` looks ahead\.",
    "why blank": r"[\w-]+: nothing was looked up in the cache\.",
    "plan crawl": PLAN.format("crawl", "", ""),
    "plan crawl(['a', 'k'])": PLAN.format("crawl", r", 1 would run.*", r"\nfetch-1 .*  runs .*"),
    "plan two-names": PLAN.format("two-names", "", ""),
    "plan other": PLAN.format("two-names", "", ""),
}


@pytest.mark.parametrize("line", ANSWERS)
def test_an_answer_in_a_terminal_is_text(line: str, shared: Shell) -> None:
    shared.shell.user_ns["name"] = "fetch"
    shared.session.history.flush(60)
    runs = len(shared.session.history.runs())
    cell = shared.run(f"%cellist {line}")
    assert cell.error is None
    assert re.fullmatch(ANSWERS[line], cell.out.rstrip("\n")), cell.out
    assert cell.result is None
    assert cell.run is None
    assert len(shared.session.history.runs()) == runs


REFUSED = {  # line of the user, what is said
    "why": "needs the name of a task or run, or a call of a task",
    "plan": "needs a flow, or a call of one",
    "why nothere": "There is no run with the id or name 'nothere'",
    "why fetc": "Near to it: fetch",
    "why len('a')": r"len\('a'\) is not a call of a task",
    "why crawl()": "`%cellist plan` does that for flows",
    "why fetch()": r"Error binding parameters of task 'fetch': missing .* 'url'",
    "why fetch('a'": "is not Python",
    "plan fetch('a')": r"is a task; `%cellist why` tells about a call of it",
    "plan ran": "`ran` is not a flow. Make it one with @flow",
    "plan nothere": "there is no flow 'nothere' among your names",
    "plan celled": "flow 'celled' is the body of a %%flow cell",
    "plan crawl(1, 2)": "Error binding parameters of flow 'crawl': too many",
    "why fecth('a')": r"'fecth' is not among your names, but there is `fetch`\.$",
    "plan crowl(['a'])": r"'crowl' is not among your names, but there is `crawl`\.$",
    "plan qqq()": r"'qqq' is not among your names\.$",
    "nonsense": r"has no command 'nonsense'\. It has accept, .*plan, .*why",
    "cach": "has no command 'cach'. Did you mean 'cache'[?]",
    "status now": "%cellist status takes nothing more, not 'now'",
    "decisions fetch": "%cellist decisions takes nothing more, not 'fetch'",
    "cache --all": "%cellist cache takes nothing more, not '--all'",
    "doctor a b": "%cellist doctor takes nothing more, not 'a b'",
    "clear --everything": "%cellist clear has no option '--everything'; `%cellist[?]` lists all",
    "bundle --force x": "%cellist bundle has no option '--force'",
    "clear 'fetch": "%cellist clear: No closing quotation in ",
    "runs 2 3": "%cellist runs takes a whole number, not '2 3'",
    "runs -1": "%cellist runs takes a whole number, not '-1'",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_answered_is_said(line: str, shared: Shell) -> None:
    error = shared.run(f"%cellist {line}").error
    assert isinstance(error, UsageError)
    assert re.search(REFUSED[line], str(error)), str(error)


def test_an_error_in_an_argument_is_the_users(shared: Shell) -> None:
    assert isinstance(shared.run("%cellist why fetch(undefined)").error, NameError)


def test_names_inside_a_function_count(shared: Shell) -> None:
    code = """
def ask():
    place = "a"
    get_ipython().run_line_magic("cellist", "why fetch(place)")
ask()
"""
    cell = shared.run(code)
    assert cell.error is None
    assert cell.out.startswith("fetch(place) would be reused from")


def test_a_mapped_task_and_a_flow_are_told_with_all_their_runs(tmp_path: Path) -> None:
    more = (
        SETUP
        + """
@task
def double(text):
    return text * 2
"""
    )
    with shell(tmp_path) as one:
        one.run(more)
        one.run("%%flow pages\ndouble.map(fetch.map(['a', 'b', 'c']))")
        cell = one.run("%%flow pages\ndouble.map(fetch.map(['a', 'b', 'x', 'y']))")
        assert cell.error is None
        told = one.run("%cellist why fetch").out.splitlines()
        assert told[0] == "fetch ×2 ran: argument `url` changed"
        assert re.fullmatch(r"fetch ×2 reused, saved .*", told[1])
        told = one.run("%cellist why pages").out.splitlines()
        assert told[0] == "fetch ×2 ran: argument `url` changed"
        assert told[2] == "double ×2 ran: `fetch` gave another `text`"
        assert re.fullmatch(r"double ×2 reused, saved .*", told[3])
        assert len(told) == 4
        one.run("%%flow pages\nfetch.map(['a', 'z'])")
        told = one.run("%cellist why fetch").out.splitlines()
        assert re.fullmatch(r"fetch-\w+ \(url='z'\) ran: argument `url`: '.' → 'z'", told[0])
        assert re.fullmatch(r"fetch-\w+ \(url='a'\) reused from .*", told[1])


def test_clearing_what_is_not_there_names_what_is(tmp_path: Path) -> None:
    with shell(tmp_path) as one:
        one.run(f"{SETUP}\nfetch('a')")
        assert one.run("%cellist clear fetchh").out == (
            "No task 'fetchh' has results, so none was deleted. Near to it: fetch.\n"
        )
        assert one.run("%cellist clear zzz").out == (
            "No task 'zzz' has results, so none was deleted. `%cellist cache` lists all results.\n"
        )
        assert one.run("%cellist clear fetch").out == "Deleted 1 result of task 'fetch'.\n"
        assert one.run("%cellist clear").out == "Deleted 0 results in all.\n"


def test_what_has_not_run_yet_is_told_from_what_is_not_there(tmp_path: Path) -> None:
    with shell(tmp_path) as one:
        one.run(SETUP)
        said = {
            "why fetch": "`fetch` has not run yet; `%cellist why fetch(...)` looks ahead.",
            "why crawl": "`crawl` has not run yet; `%cellist plan crawl(...)` looks ahead.",
            "why fecth": "There is no run with the id or name 'fecth', but there is `fetch`.",
            "why zzz": "There is no run with the id or name 'zzz'. `cellist.runs()` lists all.",
        }
        for line, message in said.items():
            assert str(one.run(f"%cellist {line}").error) == f"%cellist why: {message}"


def test_the_doctor_says_what_was_warned_of(tmp_path: Path) -> None:
    with shell(tmp_path) as one:
        one.run(SETUP)
        with pytest.warns(CellistWarning, match="`fetch` is not cached"):
            one.run("import threading\nfetch('a', n=threading.Lock())")
        told = one.run("%cellist doctor").out
        assert "The store holds 0 results, none of them damaged.\n" in told
        assert re.search(r"\nWarned: Task `.*fetch` is not cached: n: a _thread.lock has", told)


EDIT = """
def clean(text):
    return text.strip()

@task
def count(text):
    return len(clean(text))

@flow
def whole(text):
    return count(text)
"""


def test_in_a_notebook_answers_are_rich(tmp_path: Path) -> None:
    env = {"CELLIST_HOME": str(tmp_path / "home"), "CELLIST_SECRET_DIR": str(tmp_path / "secret")}
    with kernel(env, str(tmp_path)) as one:
        for cell in ("%load_ext cellist\nfrom cellist import flow, task", EDIT, "count(' a ')"):
            assert one.run(cell).error is None
        one.run("def clean(text):\n    return text.strip().lower()")
        why = one.run("%cellist why count(' a ')")
        assert why.stdout == ""
        assert why.result == (
            "count(' a ') would run: helper `clean` changed "
            "(line 2: `return text.strip().lower()`)\n"
            "      --- before\n"
            "      +++ after\n"
            "      @@ -1,2 +1,2 @@\n"
            "       def clean(text):\n"
            "      -    return text.strip()\n"
            "      +    return text.strip().lower()"
        )
        html = one.run("answer = %cellist why count(' a ')\ndisplay(answer)").html
        assert "<b>count(&#x27; a &#x27;)</b> would run: helper <code>clean</code>" in html
        assert ">+    return text.strip().lower()</span>" in html
        plan = one.run("%cellist plan whole(' a ')")
        assert plan.stdout == ""
        assert plan.shown == []  # and no board
        assert "Plan of flow `whole`: 1 would run" in (plan.result or "")
        assert "from 1 run" in (plan.result or "")
        shown = one.run("plan = %cellist plan whole(' a ')\ndisplay(plan)").html
        assert "<table>" in shown
        assert "<details open><summary>What changed</summary>" in shown
        assert one.run("display(count.why(' a '))").html.count("cellist-why") == 1
        runs = one.run("import cellist; len(cellist.runs())")
        assert runs.result == "1"


OFFERED = {  # line up to the cursor, what Tab offers
    "%cellist pl": ["plan"],
    "%cellist un": ["untrust"],
    "%cellist why fe": ["fetch"],
    "%cellist plan ": ["crawl", "idle", "other"],
    "%cellist clear f": ["fetch"],
    "%cellist trust ": ["shared.cellist"],
    "%cellist trust": ["trust"],
}


def test_tab_offers_commands_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared.cellist").touch()
    with shell(tmp_path / "shell") as one:
        one.run(f"{SETUP}\nfetch('a')")
        for line, offered in OFFERED.items():
            with provisionalcompleter():
                found = [each.text for each in one.shell.Completer.completions(line, len(line))]
            found = [word for word in found if not iskeyword(word)]  # which IPython adds
            assert found == offered, line
        extension.unload(one.shell)
        with provisionalcompleter():
            found = [each.text for each in one.shell.Completer.completions("%cellist pl", 11)]
        assert "plan" not in found


def test_help_calls_cell_magics_by_their_names() -> None:
    assert "%%task [--in" in (task_magic.__doc__ or "")
    assert "%%flow [--" in (flow_magic.__doc__ or "")
