"""`%%task` in a real kernel: restart, stop, and a whole notebook compared with plain execution."""

import asyncio
import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.kernels import Cell, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = "%load_ext cellist\nimport cellist, time, asyncio"
RICH = """%%task rich
import sys
import matplotlib.pyplot as plt
import pandas as pd
print("one")
fig, ax = plt.subplots()
ax.plot([1, 2])
plt.show()
print("two", file=sys.stderr)
df = pd.DataFrame({"a": [1, 2]})
display(df)
for step in range(3):
    print(f"\\rstep {step}", end="")
print()
plt.plot([3, 4])
df.a.sum()
"""


def own(cell: Cell) -> list[dict]:
    """What the cell itself displayed: no boards, and no notices."""
    return [
        {
            kind: text
            for kind, text in bundle.items()
            if kind != "text/plain" or "image/png" not in bundle
        }
        for bundle in cell.shown
        if "data-cellist" not in str(bundle.get("text/html"))
    ]


def is_ours(bundle):
    return "reused" in str(bundle.get("text/plain"))


def test_a_hit_after_a_restart_shows_everything_again(tmp_path):
    with kernel(cwd=str(tmp_path)) as one:
        assert one.run(SETUP).error is None
        first = one.run(RICH)
        assert first.error is None, first.traceback
        assert "step 2" in first.stdout
        one.restart()
        assert one.run(SETUP).error is None
        again = one.run(RICH)
        assert again.error is None, again.traceback
        assert again.stdout == "one\nstep 2\n"
        assert again.stderr == "two\n"
        assert own(again) == own(first)
        assert len(own(first)) == 3
        assert first.result == again.result == "np.int64(3)"
        assert any(
            re.fullmatch(
                r"rich: reused\. 1 task run: 1 reused\. Reused from \d\d:\d\d, saved .*",
                str(one["text/plain"]),
            )
            for one in again.shown
        )
        assert all("data-cellist" in one["text/html"] for one in again.shown if is_ours(one))
        assert one.run("_, int(Out[2]), df.shape").result == "(np.int64(3), 3, (2, 1))"
        assert one.run("plt.get_fignums(), len(fig.axes)").result == "([], 1)"
        shown = one.run("cellist.runs(kind='task', limit=1).iloc[0][['name', 'state']].tolist()")
        assert shown.result == "['rich', 'Cached']"
        assert "reused" in (one.run("%cellist why rich").result or "")


@pytest.mark.parametrize("body", ["time.sleep(60)", "await asyncio.sleep(60)"])
def test_stop_stops_a_cell_and_nothing_is_kept(tmp_path, body):
    with kernel(cwd=str(tmp_path)) as one:
        one.run(SETUP)
        cell = one.run(f"%%task slow\nx = 1\n{body}\ny = 2", interrupt_when=one.at_rest)
        assert cell.seconds < 20
        assert cell.error is not None
        assert cell.error[0] == "KeyboardInterrupt"
        assert one.run("6 * 7").result == "42"
        rows = "list(cellist.runs(limit=1)['state']), len(cellist.cache.entries())"
        assert one.run(rows).result == "(['Cancelled'], 0)"
        late = one.run(f"%%task slow --timeout 0.2\n{body}")
        assert late.error is not None
        assert late.error[0] == "TaskRunTimeoutError"
        assert late.seconds < 20
        assert one.run("print('free')").stdout == "free\n"


def test_help_listing_and_option_errors(tmp_path):
    with kernel(cwd=str(tmp_path)) as one:
        one.run(SETUP)
        listed = one.run("print(get_ipython().find_line_magic('lsmagic')(''))").stdout
        assert "%%task" in listed
        shown = one.run("print(get_ipython().find_cell_magic('task').__doc__)").stdout
        assert "--allow-effects" in shown
        assert one.run("%%task?").error is None
        wrong = one.run("%%task --bogus\nx = 1")
        assert "--bogus" in wrong.stderr
        assert "Traceback" not in wrong.stderr
        assert "must be the first line" in one.run("%%time\n%%task\n1").stderr
        one.run("%unload_ext cellist")
        gone = one.run("%%task\n1")
        assert gone.error is not None or "not found" in gone.stderr


CELLS = [
    "import numpy as np\nimport pandas as pd\nfrom dataclasses import dataclass\nimport math",
    "rng = np.random.default_rng(42)\nraw = pd.DataFrame({'g': list('aba'), 'v': [1, 2, 3]})\nraw",
    "df = raw.copy()\ndf['w'] = df.v * FACTOR if 'FACTOR' in dir() else df.v\nprint(df.dtypes)",
    """@dataclass
class Point:
    x: float
    def far(self):
        return math.hypot(self.x, SCALE)
SCALE = 10
points = [Point(3), Point(1)]
[p.far() for p in points]""",
    "def fit(data, deg=1):\n    return np.polyfit(range(len(data)), data, deg).round(6)\nfit(df.v)",
    "summary = df.groupby('g').agg({'v': ['sum', 'mean']})\nsummary",
    "rng.normal(size=3).round(3)",
    "points[0].x = 30\npoints",
    "X = np.arange(12.0).reshape(3, 4)\ntrain, test = X[:2], X[2:]\ntrain[0, 0] = 99\nX",
    "X[1, 1] = -1\ntrain",
    "with open('out.txt', 'w') as fh:\n    print(len(df), file=fh)\nopen('out.txt').read()",
    "best = max(points, key=Point.far)\nlookup = {p.x: p for p in points}\nbest is lookup[best.x]",
    "%time t = 1\nt",
    """import asyncio
async def double(n):
    await asyncio.sleep(0)
    return 2 * n
values = await asyncio.gather(*map(double, range(3)))
values""",
    "for name, part in df.groupby('g'):\n    print(name)\n    display(part)",
    "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    message = str(error)\nmessage",
    "df.query('v > @SCALE / 10')",
    "del message\nsorted(lookup)",
    "1 / 0",
    "rng.normal(size=2).round(3)",
]
EDITED = [cell.replace("SCALE = 10", "SCALE = 20").replace("rng(42)", "rng(43)") for cell in CELLS]


def outputs(cell) -> list[tuple]:
    """What a cell put out, streams joined, without what is cellist's or differs by nature."""
    found: list[tuple] = []
    for one in cell.outputs:
        if one.output_type == "stream":
            if "CPU times" in one.text or "Wall time" in one.text:
                continue
            if found and found[-1][:2] == ("stream", one.name):
                found[-1] = (*found[-1][:2], found[-1][2] + one.text)
            else:
                found.append(("stream", one.name, one.text))
        elif one.output_type == "error":
            found.append(("error", one.ename, one.evalue))
        elif "data-cellist" not in one.data.get("text/html", "") and not re.match(
            r"c\d+: ", one.data.get("text/plain", "")
        ):
            found.append((one.output_type, sorted(one.data.items())))
    return found


async def execute(cells: list[str], folder, magic: str) -> tuple[list, list[str]]:
    """Execute a notebook without a front end; return its outputs and the states of its tasks."""
    code = [(magic.format(number) if magic else "") + cell for number, cell in enumerate(cells)]
    code.append("print(*cellist.runs(kind='task', limit=100)['state'])")
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in [SETUP, *code]]
    )
    await NotebookClient(
        book, timeout=120, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    ).async_execute()
    states = outputs(book.cells[-1])[0][2].split()
    return [outputs(cell) for cell in book.cells[1:-1]], states


async def test_a_notebook_of_tasks_gives_what_the_plain_notebook_gives(tmp_path):
    folders = [tmp_path / name for name in ("plain", "plain-edited", "tasks")]
    for folder in folders:
        folder.mkdir()

    async def without() -> list:
        found = [
            await execute(cells, folder, "")
            for cells, folder in zip((CELLS, EDITED), folders, strict=False)
        ]
        return [outputs for outputs, _ in found]

    beside = asyncio.ensure_future(without())
    cold, states = await execute(CELLS, folders[2], "%%task c{}\n")
    assert "Cached" not in states
    warm, warm_states = await execute(CELLS, folders[2], "%%task c{}\n")
    edited, edited_states = await execute(EDITED, folders[2], "%%task c{}\n")
    plain, plain_edited = await beside
    assert cold == plain
    assert warm == plain
    assert warm_states[: len(CELLS)].count("Cached") >= len(CELLS) / 2
    assert edited == plain_edited
    assert "Cached" in edited_states[: len(CELLS)]
