"""Run a notebook plainly and with `%%task` on every cell, in real kernels, and tell differences.

A notebook is a text: cells separated by lines `# %%`. A cell may be followed by other versions of
it, after lines `# %% edit`. Each is run through the same turns, in the same kernel: all cells, all
cells once more, some in another order, and all of them with the edits. Plain execution says what
must come of it; `%%task` is compared with it in a kernel that has nothing stored, and in one after
a restart.
"""

import ast
import json
import queue
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kernels import Kernel

PROBE = Path(__file__).with_name("notebook_probe.py")
_SAME = [
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"),
    (re.compile(r"ipykernel_\d+/\d+\.py"), "ipykernel"),
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"(Wall time|CPU times)([^\"\\]|\\\\u)*"), "time"),
    (re.compile(r"[\d.]+ [mµn]?s ± [^\"\\]*"), "time"),
    (re.compile(r"ipykernel:\d+"), "ipykernel"),
    (re.compile(r"\d+\.py, line \d+"), "line"),
    (re.compile(r"sk-container-id-\d+|sk-estimator-id-\d+"), "sk"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "uuid"),
    (re.compile(r"IPY_MODEL_[0-9a-f]+|\b[0-9a-f]{32}\b"), "model"),
    (re.compile(r'id="T_[^"]*"|T_[0-9a-f]{5}'), "T"),
]


@dataclass
class Book:
    """A notebook and its edits."""

    name: str
    cells: list[str] = field(default_factory=list)
    edits: dict[int, str] = field(default_factory=dict)

    @property
    def edited(self) -> list[str]:
        """The cells with the edits made."""
        return [self.edits.get(index, cell) for index, cell in enumerate(self.cells)]

    def turns(self) -> list[tuple[str, list[tuple[int, str]]]]:
        """Return in which order which cells run."""
        cells = list(enumerate(self.cells))
        middle = len(cells) // 2
        mixed = [cells[-1], cells[middle], cells[middle], *cells[1:4], *cells[::-3]]
        return [
            ("all", cells),
            ("again", cells),
            ("edited", list(enumerate(self.edited))),
            ("mixed", mixed),
        ]


def read_book(path: Path) -> Book:
    """Read a notebook from a text."""
    book = Book(path.stem)
    for part in re.split(r"^(?=# %%)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if not part.strip():
            continue
        head, _, body = part.partition("\n")
        if head.strip() == "# %% edit":
            book.edits[len(book.cells) - 1] = body.rstrip("\n")
        else:
            book.cells.append(body.rstrip("\n"))
    return book


@dataclass
class Step:
    """What came of one cell."""

    turn: str
    index: int
    outputs: list[Any]
    state: dict[str, Any]
    seconds: float = 0.0

    @property
    def run(self) -> tuple[str, str]:
        """State and reason of the cell's own task."""
        runs = self.state["runs"]
        return tuple(runs[0]) if runs else ("", "")


class BookKernel(Kernel):
    """A kernel that keeps outputs in order, as a front end shows them in the end."""

    def step(self, turn: str, index: int, code: str, target: Path) -> Step:
        """Run a cell and describe what it left."""
        sent = self.client.execute(code, allow_stdin=False)
        outputs: list[Any] = []
        waiting = False
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=100)
            except queue.Empty:
                outputs.append(["hangs"])
                self.manager.interrupt_kernel()
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if waiting and kind in ("stream", "display_data", "execute_result", "error"):
                outputs.clear()
                waiting = False
            if kind == "clear_output":
                waiting = content["wait"]
                if not waiting:
                    outputs.clear()
            else:
                _take(outputs, kind, content)
        state = self.describe(target)
        shown = [_same(one) for one in outputs]
        for one in shown:
            if one[0] == "stream":
                one[2] = overwritten(one[2])
        return Step(turn, index, shown, state)

    def describe(self, target: Path) -> dict[str, Any]:
        """Return what the probe says."""
        code = (
            "__import__('builtins').exec(__import__('builtins').compile("
            f"__import__('pathlib').Path({str(PROBE)!r}).read_text(), 'probe', 'exec'), "
            "{'shell': __import__('IPython').get_ipython(), "
            f"'target': {str(target)!r}, '__name__': 'probe'}})"
        )
        sent = self.client.execute("", silent=True, user_expressions={"probe": code})
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == sent:
                break
        said = reply["content"].get("user_expressions", {}).get("probe", {})
        assert said.get("status") == "ok", reply["content"]
        return ast.literal_eval(target.read_text())


def overwritten(text: str) -> str:
    """Return what a stream shows after its carriage returns."""
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown)
    return "\n".join(lines)


def _take(outputs: list[Any], kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        if outputs and outputs[-1][:2] == ["stream", content["name"]]:
            outputs[-1][2] += content["text"]
        else:
            outputs.append(["stream", content["name"], content["text"]])
    elif kind == "display_data":
        name = content.get("transient", {}).get("display_id")
        outputs.append(["display", content["data"], content["metadata"], {"id": name}])
    elif kind == "update_display_data":
        name = content.get("transient", {}).get("display_id")
        hits = [one for one in outputs if one[0] == "display" and one[3]["id"] == name]
        for one in hits:
            one[1:3] = [content["data"], content["metadata"]]
        if not hits:
            outputs.append(["update", content["data"]])
    elif kind == "execute_result":
        outputs.append(["result", content["data"], content["metadata"]])
    elif kind == "error":
        outputs.append(["error", content["ename"], content["evalue"]])


def _same(output: Any) -> Any:
    """Return an output without what differs by nature."""
    output = [part for part in output if not (isinstance(part, dict) and set(part) == {"id"})]
    text = json.dumps(output)
    for pattern, put in _SAME:
        text = pattern.sub(put, text)
    return json.loads(text)


@contextmanager
def _kernel(folder: Path, home: Path) -> Iterator[BookKernel]:
    env = {
        "CELLIST_HOME": str(home / "home"),
        "CELLIST_SECRET_DIR": str(home / "secret"),
        "CELLIST_UI": "off",
        "PYTHONHASHSEED": "random",
        "SOME_TOKEN": "x",
    }
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = BookKernel(env, cwd=str(folder))
    try:
        yield started
    finally:
        started.close()


def execute(book: Book, place: Path, magic: bool, turns: set[str] | None = None) -> list[Step]:
    """Run all turns in one kernel; each cell begins with `%%task` if `magic` is set."""
    steps: list[Step] = []
    with _kernel(place / "work", place) as kernel:
        if magic:
            assert kernel.run("%load_ext cellist").error is None
        else:
            kernel.run("pass")
        kernel.run("import random as r, numpy.random as n; r.seed(0); n.seed(0); del r, n")
        kernel.describe(place / "probe.json")
        for turn, cells in book.turns():
            if turns is not None and turn not in turns:
                continue
            for index, code in cells:
                head = "%%task\n" if magic and code.strip() and not code.startswith("%%") else ""
                steps.append(kernel.step(turn, index, head + code, place / "probe.json"))
    return steps


@dataclass
class Report:
    """What a comparison found."""

    book: Book
    differences: list[str] = field(default_factory=list)
    compared: int = 0
    lines: list[str] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)


def differing(plain: Step, ours: Step) -> Iterator[str]:
    """Yield in words what differs after a cell."""
    where = f"{ours.turn} [{ours.index}]"
    if plain.outputs != ours.outputs:
        told = _short(plain.outputs), _short(ours.outputs)
        yield f"{where} outputs:\n    plain {told[0]}\n    task  {told[1]}"
    for part in ("names", "Out", "settings"):
        one, other = plain.state[part], ours.state[part]
        for name in sorted({*one, *other}):
            if _told(one.get(name, "-")) != _told(other.get(name, "-")):
                yield (
                    f"{where} {part} {name}:\n    plain {_short(one.get(name, '-'))}"
                    f"\n    task  {_short(other.get(name, '-'))}"
                )


def _told(value: Any) -> Any:
    """Return a state without names that are made up anew each time."""
    return re.sub(r"/tmp/tmp\w+|LazyFrame at 0x\w+|[0-9a-f]{32}", "tmp", json.dumps(value))


def _key(text: str) -> str:
    """Return what a difference is about; it is told once, not after each later cell."""
    return text.partition("] ")[2]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 300 else text[:150] + " … " + text[-150:]


def compare(book: Book, place: Path, turns: set[str] | None = None) -> Report:
    """Compare `%%task` with plain execution: nothing stored, then after a restart."""
    report = Report(book)
    plain = execute(book, place, False, turns)
    for which in ("cold", "warm"):
        ours = execute(book, place, True, turns)
        told: set[str] = set()
        for one, other in zip(plain, ours, strict=True):
            report.compared += 1
            found = [text for text in differing(one, other) if _key(text) not in told]
            told.update(map(_key, found))
            report.differences += [f"{which} {text}" for text in found]
            state, why = other.run
            report.states.setdefault(f"{which} {other.turn}", []).append(state)
            if state != "Cached" or found:
                report.lines.append(f"{which} {other.turn} [{other.index}] {state}: {why}")
    return report
