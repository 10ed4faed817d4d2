"""What `%cellist why` answers: of one run or call, of all runs of a mapped task, of a whole flow.

Runs of one task that ran or were reused for the same reason are told in one sentence, first those
that ran. What differs only in the values of each run counts as the same.
"""

from collections.abc import Iterable
from dataclasses import replace

from cellist.caching.reasons import seconds_text
from cellist.history.records import RunRecord
from cellist.model.reason_text import html_of, text_of
from cellist.model.reasons import Reason

_MOST = 20
"""Sentences of one answer."""
_INPUTS = 60


class Answer:
    """The reason of one run or call, shown with its name."""

    def __init__(self, subject: str, reason: Reason) -> None:
        self.subject = subject
        self.reason = reason

    def __repr__(self) -> str:
        return text_of(self.reason, self.subject)

    def _repr_html_(self) -> str:
        return html_of(self.reason, self.subject)


class Answers:
    """The reasons of several runs, one below the other."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers[:_MOST]
        more = len(answers) - _MOST
        self._rest = f"… and {more} more; `cellist.runs()` lists all" if more > 0 else ""

    def __repr__(self) -> str:
        return "\n".join([*map(repr, self.answers), *filter(None, [self._rest])])

    def _repr_html_(self) -> str:
        rest = f"<div>{self._rest}</div>" if self._rest else ""
        return "".join(html_of(one.reason, one.subject) for one in self.answers) + rest


def answers_of(runs: Iterable[RunRecord]) -> list[Answer]:
    """Return one answer for all runs of a task that have the same reason; none without reasons."""
    alike: dict[str, dict[tuple[bool, str], list[RunRecord]]] = {}
    for run in runs:
        if run.why is not None:
            is_hit = run.why.outcome == "hit"
            key = (is_hit, run.why.code if is_hit else run.why.gist)
            alike.setdefault(run.definition, {}).setdefault(key, []).append(run)
    return [
        _answer(task, same, reason_of=gist)
        for task, reasons in alike.items()
        for (_, gist), same in sorted(reasons.items(), key=lambda pair: pair[0][0])
    ]


def _answer(task: str, runs: list[RunRecord], reason_of: str) -> Answer:
    """Return the answer for runs with the same reason, a single one by its name and inputs."""
    first = runs[0].why
    assert first is not None
    if len(runs) == 1:
        given = ", ".join(f"{name}={value}" for name, value in runs[0].inputs.items())
        given = given if len(given) <= _INPUTS else f"{given[: _INPUTS - 1]}…"
        return Answer(f"{runs[0].name} ({given})" if given else runs[0].name, first)
    subject = f"{task} ×{len(runs):,}"
    reasons = [run.why for run in runs if run.why is not None]
    if first.outcome == "hit":
        saved = sum(one.saved or 0.0 for one in reasons)
        return Answer(subject, replace(first, sentence=f"reused, saved {seconds_text(saved)}"))
    if all(one.sentence == first.sentence for one in reasons):
        return Answer(subject, first)
    return Answer(subject, replace(first, sentence=reason_of, changes=()))


__all__ = ["Answer", "Answers", "answers_of"]
