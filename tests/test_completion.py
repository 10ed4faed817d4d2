"""Options and parameters are offered where code is written: in a kernel and in an editor."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter

from cellist import Flow, Task, flow, task
from cellist.options import FlowOptions, TaskOptions
from tests.shells import bare_shell

ROOT = Path(__file__).parent.parent
TASK = {f"{name}=" for name in TaskOptions.__annotations__}
FLOW = {f"{name}=" for name in FlowOptions.__annotations__}


@task
def fetch(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


@flow
def crawl(url: str) -> bytes:
    return fetch(url)


class Crawler:
    @task
    def fetch(self, path):
        return path


CASES = [
    ("task(", TASK),
    ("@task(", TASK),
    ("task(fetch, ", TASK),
    ("Task(fetch.fn, ", TASK),
    ("fetch.with_options(", TASK),
    ("Crawler().fetch.with_options(", TASK),
    ("flow(", FLOW),
    ("@flow(", FLOW),
    ("Flow(fetch.fn, ", FLOW),
    ("crawl.with_options(", FLOW),
    ("fetch(", {"url=", "limit="}),
    ("crawl(", {"url="}),
]


@pytest.fixture(scope="module")
def shell():
    names = {"task": task, "flow": flow, "Task": Task, "Flow": Flow, "fetch": fetch}
    with bare_shell({**names, "crawl": crawl, "crawler": Crawler()}) as started:
        yield started


@pytest.mark.parametrize("jedi", [True, False], ids=["jedi", "signatures"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [*CASES, ("crawler.fetch(", {"path="})],
    ids=lambda one: str(one)[:24] if isinstance(one, str) else "names",
)
def test_a_kernel_completes(shell, jedi, text, expected):
    text = text.replace("Crawler()", "crawler").lstrip("@")  # the kernel evaluates no calls
    shell.Completer.use_jedi = jedi
    with provisionalcompleter():
        offered = {one.text for one in shell.Completer.completions(text, len(text))}
    assert {one for one in offered if one.endswith("=")} - {"fn="} == expected


class Editor:
    """One file open in an editor that asks pyright's language server."""

    def __init__(self, path, text):
        self._server = subprocess.Popen(
            [sys.executable, "-m", "pyright.langserver", "--stdio"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdin
        assert self._server.stdout
        self._to, self._from = self._server.stdin, self._server.stdout
        self._ids = count(1)
        self._document = {"uri": path.as_uri()}
        folder = {"uri": ROOT.as_uri(), "name": ROOT.name}
        shows = {"textDocument": {"hover": {"contentFormat": ["markdown"]}}}
        self._ask("initialize", processId=None, workspaceFolders=[folder], capabilities=shows)
        self._send(method="initialized", params={})
        opened = {**self._document, "languageId": "python", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": opened})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ask("shutdown")
        self._send(method="exit")
        self._server.communicate(timeout=10)

    def at(self, method, line, character):
        where = {"line": line, "character": character}
        return self._ask(f"textDocument/{method}", textDocument=self._document, position=where)

    def _ask(self, method, **params):
        number = next(self._ids)
        self._send(id=number, method=method, params=params)
        while True:
            message = self._receive()
            if "method" not in message and message.get("id") == number:
                return message["result"]
            if "method" in message and "id" in message:  # the server asks for the settings
                self._send(
                    id=message["id"], result=[{} for _ in message["params"].get("items", ())]
                )

    def _send(self, **message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._to.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._to.flush()

    def _receive(self):
        length = 0
        while header := self._from.readline().strip():
            name, _, value = header.partition(b": ")
            if name == b"Content-Length":
                length = int(value)
        return json.loads(self._from.read(length))


@pytest.mark.slow
def test_an_editor_completes_and_explains():
    program = Path(__file__).read_text("utf-8").split("\n\n\nCASES")[0]
    asked = [f"{text}{letter})" for text, _ in CASES for letter in "nu"]
    shown = "\n".join([program, "task(retries=3)", *asked])
    with Editor(Path(__file__), shown) as editor:
        number = shown.splitlines().index("task(retries=3)")
        hover = editor.at("hover", number, 7)["contents"]["value"]
        for number, line in enumerate(shown.splitlines()):
            if line in asked:
                offered = editor.at("completion", number, len(line) - 1)["items"]
                labels = {one["label"] for one in offered if one["label"].endswith("=")}
                expected = {one for one in dict(CASES)[line[:-2]] if line[-2] in one}
                assert expected <= labels, line
    assert "retries: int | None" in hover
    assert "Attempts after the first." in hover
