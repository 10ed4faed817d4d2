"""What the user has decided over the cache, as a look-up sees it.

*Refresh* holds for this session: what was stored by runs that began before it was asked for is not
used. So each call computes anew once, and what it stored then serves, also for calls that wait for
it. *Accept* holds for good (`caching.acceptances`): a call that finds nothing under its key looks
under the keys it would have with the sources whose results still hold.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from cellist.caching.acceptances import Acceptance, Acceptances, sources_of, with_sources
from cellist.caching.aside import Readable
from cellist.caching.envelope import Header
from cellist.caching.found import Found, Missing
from cellist.key_requests import join
from cellist.model.reasons import Component
from cellist.persistence import CachePlan

_REFRESHED = Missing("refreshed", "a refresh was asked for")


class Overruled:
    """The decisions that hold in one session. May be used from several threads."""

    def __init__(self, acceptances: Acceptances) -> None:
        self.acceptances = acceptances
        self.refreshes: dict[str, float] = {}
        """When a refresh was asked for, by the name or the key of a task."""
        self.missed: dict[str, tuple[str, dict[str, Sequence[Component]]]] = {}
        """Name, and source closures by digest, of the tasks that had to run, by their keys."""

    def refresh(self, name: str) -> None:
        """Let each call of a task, given by its name or key, compute anew once."""
        self.refreshes[name] = time.time()

    def judge(
        self,
        store: Readable,
        plan: CachePlan,
        components: Sequence[Component],
        found: Found | Missing,
        read: Callable[[str], Found | Missing],
    ) -> Found | Missing:
        """Return what a look-up gives that found this, as the user has decided.

        `read` looks under another key where this was found.
        """
        if isinstance(found, Missing) and found.code != "expired":
            found = self._accepted(plan, components, read) or found
        if self.refreshes and isinstance(found, Found) and self._is_outdated(found.header):
            store.disown(found)
            return _REFRESHED
        return found

    def _is_outdated(self, header: Header) -> bool:
        """Whether a result was stored by a run that began before a refresh was asked for."""
        asked = max(self.refreshes.get(header.get(name, ""), 0.0) for name in ("task", "task_key"))
        return asked > 0.0 and header.get("began", 0.0) <= asked

    def _accepted(
        self,
        plan: CachePlan,
        components: Sequence[Component],
        read: Callable[[str], Found | Missing],
    ) -> Found | Missing | None:
        """Return the result under an accepted former source, or that it has expired."""
        if not self.acceptances.are_possible():
            return None
        now = sources_of(components)
        acceptance = self.acceptances.of(plan.identity, now)
        if acceptance is None:
            return None
        expired: Missing | None = None
        for former in acceptance.former:
            parts = with_sources(components, now, former)
            if parts is None:
                continue
            found = read(join(parts))
            if isinstance(found, Found):
                return replace(found, header=_told(found.header, acceptance))
            if found.code == "expired":
                expired = found
        return expired

    def note_miss(
        self, plan: CachePlan, name: str, closures: dict[str, Sequence[Component]]
    ) -> None:
        """Remember which source a task had when it had to run, for who accepts it by name."""
        if closures:
            self.missed[plan.identity] = name, closures


def _told(header: Header, acceptance: Acceptance) -> Header:
    told: dict[str, Any] = {
        "because": acceptance.because,
        "at": acceptance.at,
        "who": acceptance.who,
    }
    return cast("Header", {**header, "accepted": told})
