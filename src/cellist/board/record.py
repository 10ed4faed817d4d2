"""The record: what stays in the saved notebook, with no kernel and no JavaScript.

Facts first, as a plain table (pandas' tables survive everywhere, so do ours); then each run that
needs a word in a `<details>`; then the picture. Plain tags and few attributes, because sites strip
the rest. Everything that comes from a user is escaped in one place (`markup.escaped`). Size
is bounded: 60 KB for a thousand runs.

The style element does something in Jupyter only: whatever stands in place of a live board that is
not there (in a reopened notebook, or where its script cannot be loaded) it hides. The live board
hides the record (`static/main.js`).
"""

from collections.abc import Iterable, Sequence

from cellist.board.groups import Group
from cellist.board.palette import LOOKS, TROUBLE
from cellist.board.picture import alternative, picture
from cellist.board.progress import progress_line
from cellist.board.record_text import item, stateful, table
from cellist.board.rows import Row, trace_tail
from cellist.board.view import View
from cellist.board.wording import (
    amount,
    attempt_text,
    counts_text,
    duration,
    error_line,
    more_text,
    why_line,
    word_of,
)
from cellist.drawing.markup import clipped, data_uri, escaped, prose

MAX_GROUPS = 80
"""Groups in the table."""
MAX_DETAILS = 25
"""Runs with a paragraph of their own: those in trouble first, then those that were retried."""
MAX_LINES = 150
"""Runs listed with one line each."""
PICTURE_LIMIT = 24_000
"""Characters of SVG; a larger picture is left out."""

_BEFORE = ".jp-OutputArea-child:has(+ .jp-OutputArea-child [data-cellist-static]) > "
_HIDE_DEAD_WIDGET = (
    f"<style>{_BEFORE}.jupyter-widgets:not(:has(*)),"  # no model; below: no script
    f"{_BEFORE}*:has(> * > .jupyter-widgets-error-widget){{display:none}}</style>"
)
SO_FAR = (
    "So far: written every few seconds while it runs. The live board needs Jupyter widgets, "
    "which are not shown here."
)
"""What a record says of itself that stands in for a live board; with one, nobody sees it."""


def record_html(view: View, ident: str, note: str = "") -> str:
    """Return the record of a board. `ident` ties it to the live board on the same page.

    `note` is said below its heading, such as why there is no live board.
    """
    parts = [f'<div data-cellist-static="{escaped(ident)}">', _HIDE_DEAD_WIDGET, _heading(view)]
    if note:
        parts.append(f"<p><small>{escaped(note)}</small></p>")
    if view.groups:
        parts += [_table(view.groups), _details(view), _picture(view)]
    parts.append("</div>")
    return "".join(parts)


def _heading(view: View) -> str:
    header = view.header()
    facts = [stateful(header["look"], header["word"])]
    if header["took"]:
        facts[0] += f" in {escaped(header['took'])}"
    if view.counts:
        facts.append(f"{escaped(header['runs'])}: {escaped(counts_text(view.counts))}")
    if header["saved"]:
        facts.append(escaped(header["saved"]))
    return f"<p><b>{escaped(header['title'])}</b> · {' · '.join(facts)}</p>"


def _table(groups: Sequence[Group]) -> str:
    """Return the facts on each task: state, number of runs, time, why it ran or did not."""
    lines = [
        (
            "\u00a0" * 4 * min(group.depth, 6) + escaped(group.name),
            stateful(group.look, group.word) + _below(group),
            f"{group.total:,}",
            _took(group.seconds()),
            prose(_why(group)),
        )
        for group in groups[:MAX_GROUPS]
    ]
    note = more_text(len(groups) - MAX_GROUPS) if len(groups) > MAX_GROUPS else None
    return table(("task", "state", "runs", "time", "why"), lines, note)


def _below(group: Group) -> str:
    """Return what stands below the state: counts of a mixed group, how far a single run is."""
    text = ""
    if group.total == 1:
        text = clipped(progress_line(group.rows[0].run, group.look), 120)
    elif sum(1 for n in group.counts.values() if n) > 1:
        text = counts_text(group.counts)
    return f"<br><small>{escaped(text)}</small>" if text else ""


def _took(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds).replace(" ", "\u00a0")


def _why(group: Group) -> str:
    """Return the reasons of a group, and before them its last failure."""
    parts = [part for part in (group.error if group.look in TROUBLE else "", group.why) if part]
    return "; ".join(clipped(part, 200 // len(parts)) for part in parts)


def _details(view: View) -> str:
    """Return the runs of each group, folded: telling ones at length, some others with a line."""
    told = _telling(view)
    lines_left = MAX_LINES
    parts: list[str] = []
    for group in view.groups[:MAX_GROUPS]:
        at_length = [row for row in group.rows if row.run.number in told]
        brief = [row for row in group.rows if row.run.number not in told][: max(lines_left, 0)]
        lines_left -= len(brief)
        left_out = group.total - len(at_length) - len(brief)
        if not at_length and (not brief or (group.total == 1 and not _has_facts(brief[0]))):
            continue
        inner = "".join(_at_length(row) for row in at_length)
        inner += "<br>".join(_line(row) for row in brief)
        inner += f"<br>{more_text(left_out)}" if left_out else ""
        parts.append(
            f"<details><summary>{escaped(group.name)}: {escaped(counts_text(group.counts))}"
            f"</summary>\n{inner}</details>"
        )
    return "\n".join(parts)


def _has_facts(row: Row) -> bool:
    return bool(row.run.inputs or row.run.preview is not None or row.run.why is not None)


def _telling(view: View) -> set[int]:
    """Return the runs that get a paragraph: in trouble, then retried."""
    trouble = (n for n, row in view.rows.items() if row.look in TROUBLE or row.look == "waiting")
    retried = (n for n, row in view.rows.items() if row.run.attempts > 1)
    found: dict[int, None] = {}
    for number in _chain(trouble, retried):
        if len(found) >= MAX_DETAILS:
            break
        found[number] = None
    return set(found)


def _chain(*sources: Iterable[int]) -> Iterable[int]:
    for source in sources:
        yield from source


def _line(row: Row) -> str:
    """Return one run on one line."""
    run = row.run
    facts = [_took(row.seconds), attempt_text(run, row.look)]
    if row.group.total > 1:
        facts.append(clipped(progress_line(run, row.look), 100))
    if run.inputs:
        facts.append(_inputs(row, 60))
    if run.why is not None and (row.group.total == 1 or row.look == "skipped"):
        facts.append(clipped(str(run.why), 160))
    if row.group.total == 1 and run.preview is not None:
        facts.append("→ " + clipped(run.preview, 100))
    return " · ".join(
        [
            f"{LOOKS[row.look].icon} {escaped(f'{clipped(run.name, 60)} {word_of(run.state)}')}",
            *(prose(fact) for fact in facts if fact),
        ]
    )


def _inputs(row: Row, limit: int) -> str:
    """Return the arguments of a run on one line."""
    inputs = list((row.run.inputs or {}).items())[:20]
    return clipped(", ".join(f"{clipped(k, 60)}={clipped(v, 80)}" for k, v in inputs), limit)


def _at_length(row: Row) -> str:
    """Return one run with its attempts, inputs, reason, error and end of traceback."""
    run = row.run
    attempts = [
        f"{LOOKS[look].word} after {duration((end - start) / 1000)}"
        for look, start, end in row.bars()
        if look != "waiting" and end is not None
    ]
    facts = [
        item("attempts", f"{amount(run.attempts, 'attempt')}: {', '.join(attempts)}"),
        item("inputs", _inputs(row, 300)),
        item("progress", clipped(progress_line(run, row.look), 160)),
        item("why", why_line(run, 200) or ""),
        item("error", clipped(error_line(run) or "", 200)),
        item("log", " ⏎ ".join(clipped(line, 100) for line in list(row.logs or ())[-2:])),
    ]
    trace = trace_tail(run) if row.look in TROUBLE else None
    if trace:
        facts.append(f"<li><pre>{escaped(trace[-400:])}</pre></li>")
    head = f"{stateful(row.look, word_of(run.state))} {escaped(clipped(run.name, 60))}"
    took = _took(row.seconds)
    if took:
        head += f" · {took}"
    return f"<details><summary>{head}</summary><ul>{''.join(facts)}</ul></details>"


def _picture(view: View) -> str:
    svg = picture(view)
    if svg is None or len(svg) > PICTURE_LIMIT:
        return ""
    return f'<img alt="{escaped(alternative(view))}" src="{data_uri(svg)}">'
