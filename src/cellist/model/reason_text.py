"""How a reason is told: as lines of text, and as HTML.

The only place that does so: reasons themselves, run records, boards and `%cellist why` all come
here, so that they cannot say different things. Changed code is shown as a diff whose `+` and `-`
are text, and whose colours only repeat them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cellist.model.markup import escaped, prose

if TYPE_CHECKING:
    from cellist.model.reasons import Change, Reason

_MOST_LINES = 400
"""Lines of one diff that are shown."""
_QUIET = "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#6a7380))"
_PRE = (
    "margin:4px 0 6px;padding:6px 8px;overflow-x:auto;line-height:1.35;"
    "border:1px solid var(--jp-border-color2,var(--vscode-panel-border,#8c959f));"
    "background:transparent;color:inherit;"
    "font-family:var(--jp-code-font-family,var(--vscode-editor-font-family,monospace))"
)
_COLOURS = {
    "+": "var(--jp-success-color0,var(--vscode-gitDecoration-addedResourceForeground,#177a52))",
    "-": "var(--jp-error-color0,var(--vscode-gitDecoration-deletedResourceForeground,#c3342b))",
    "@": "var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#6a7380))",
}


def sentence_of(reason: "Reason", subject: str = "") -> str:
    """Return the reason in one sentence, about the run named `subject` if one is given."""
    return f"{subject} {reason.sentence}" if subject else reason.sentence


def text_of(reason: "Reason", subject: str = "") -> str:
    """Return the sentence and below it what changed, with diffs of code, and the notes."""
    is_said = len(reason.changes) == 1  # by the sentence
    notes = [f"  note: {note}" for note in reason.notes]
    return "\n".join([sentence_of(reason, subject), *change_lines(reason.changes, is_said), *notes])


def change_lines(changes: Sequence["Change"], is_said: bool = False) -> list[str]:
    """Return what changed as indented lines, with diffs of code; `is_said` leaves the rest out."""
    lines: list[str] = []
    for change in changes:
        if not is_said:
            lines.append(f"  - {change.summary}")
        lines += [f"      {line}" for line in _diff_lines(change)]
    return lines


def html_of(reason: "Reason", subject: str = "") -> str:
    """Return the same as HTML that needs no script and fits light and dark pages."""
    head = f"<b>{escaped(subject)}</b> " if subject else ""
    is_said = len(reason.changes) == 1  # by the sentence
    parts = [f"<div>{head}{prose(reason.sentence)}</div>"]
    parts += [_change_html(change, is_said) for change in reason.changes]
    parts += [f'<div style="{_QUIET}">note: {prose(note)}</div>' for note in reason.notes]
    return f'<div class="cellist-why">{"".join(parts)}</div>'


def _change_html(change: "Change", is_said: bool) -> str:
    """Return what changed, as a list's item or above its diff; `is_said` leaves the rest out."""
    diff = _diff_lines(change)
    if not diff:
        return "" if is_said else f"<div>• {prose(change.summary)}</div>"
    head, body = diff[:2], diff[2:]  # `---` and `+++` name the two sides and are no changes
    lines = "\n".join([*map(escaped, head), *map(_line_html, body)])
    summary = f"<summary>{'What changed' if is_said else prose(change.summary)}</summary>"
    return f'<details open>{summary}<pre style="{_PRE}">{lines}</pre></details>'


def _line_html(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    text = escaped(line)
    return f'<span style="color:{colour}">{text}</span>' if colour else text


def _diff_lines(change: "Change") -> list[str]:
    lines = change.diff.splitlines()
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f"… {more} more lines"]
