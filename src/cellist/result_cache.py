"""The cache as the engine sees it: look a call up, remember its result, and say why.

Neither `look_up` nor `remember` ever raises: whatever goes wrong with the cache is a miss, or a
result that is not kept (`result_keeping`), with the reason on the run and one warning.

One key is computed once at a time: the run that finds nothing has its flight (`engine.flights`),
and unless such work is over in no time, a lease that other kernels see (`caching.leases`).
"""

import re
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from cellist import sentinel
from cellist.cache_notes import Asked, Note
from cellist.caching.acceptances import Acceptances
from cellist.caching.aside import Onlooker, Readable
from cellist.caching.envelope import Header
from cellist.caching.found import ABSENT, Found, Missing
from cellist.caching.reasons import Known, explained, reused, seconds_text
from cellist.caching.store import ResultStore
from cellist.caching.stores import AnyStore, Stores
from cellist.caching.upgrades import upgrades
from cellist.earlier_runs import EarlierRuns, Ending
from cellist.engine.commands import Err, Ok
from cellist.engine.errors import one_line
from cellist.engine.execution import Execution
from cellist.engine.flights import FAILED, KEPT, NOT_KEPT, Flight, Flights
from cellist.engine.lineage import givers
from cellist.exceptions import HashError
from cellist.keyed_calls import Keyed, in_mind, keyed
from cellist.known_keys import Standing
from cellist.model.isolation import IsolationLevel
from cellist.model.reasons import Component, Reason
from cellist.model.runs import Run
from cellist.overruled import Overruled
from cellist.persistence import CachePlan
from cellist.replaying import Owner, Replay
from cellist.result_keeping import DURABLE_AFTER, Keeper
from cellist.turns import Turn, Turns


class Foreseen(NamedTuple):
    """What a look-up would come to."""

    reason: Reason
    ident: Any = None
    """What tells the key from the same one in another store; `None` if nothing is kept under it."""
    found: Found | None = None


class Cache:
    """Looks calls up in result stores and remembers their results."""

    def __init__(self, stores: Stores, owner: Owner) -> None:
        self.stores = stores
        self.owner = owner
        self.flights = Flights()
        place = stores.default.directory.with_name("accepted")
        self.overruled = Overruled(Acceptances(place, self._tell))
        self._upgrades_told: set[str] = set()
        self.turns = Turns(stores, self.flights, self._tell)
        self.replay = Replay(owner)
        self.show = self.replay.show
        keeper = Keeper(self.flights, self._land, owner, self.replay)
        self.remember, self.seal = keeper.remember, keeper.seal
        self._earlier = EarlierRuns(owner)

    def recall(self, x: Execution) -> Ok | Err | None:
        """Return the result of a call like earlier ones, if it is in the store; the run says why.

        It is what `look_up` would find, without what most hits can do without. `None`: it is to be
        asked, and goes on from here. `Err` is an interrupt. Not for coroutines: a loop cannot wait.
        """
        plan: CachePlan = x.plan.cache
        if plan.keys is None or plan.is_special or x.plan.is_async or self.overruled.refreshes:
            return None
        try:
            told = in_mind(x, plan)
            if told is None:
                return None
            key, known = told
            if key in self.flights.up:
                return None
            landings = self.flights.landings
            found = self.stores.default.get(key, in_memory=plan.in_memory)
            if not isinstance(found, Found) or found.shown is not None:
                x.cache_note = Asked(Keyed(x, plan, key, known), landings, found)
                return None
            self._tell_hit(x, key, known, found)
        except Exception:  # `look_up` meets it again and tells of it
            return None
        except BaseException as stop:
            return Err(stop)
        return Ok(found.value)

    def look_up(self, x: Execution) -> Ok | Err | Flight | float | None:
        """Return a reusable result, or `None`; either way the run says why.

        If the key is being computed, return the flight or the seconds to wait before asking again;
        if a strict task has no key, the error that says what has no stable digest.
        """
        plan: CachePlan = x.plan.cache
        asked: Asked | Note | None = x.cache_note
        if isinstance(asked, Note):
            return self._look_again(x, plan, asked)
        x.cache_note = None
        landings = asked.landings if asked else self.flights.landings
        try:
            call = asked.call if asked else keyed(x, plan)
            store = self._store(plan)
        except HashError as error:
            return self._unstable(x, plan, error)
        except Exception as error:
            x.run.why = self._broken(x, plan, error)
            return None
        key = x.run.cache_key = call.key
        if key is None:
            x.run.why = _NO_KEY
            return None
        ident: Any = key if store is self.stores.default else (store.directory, key)
        found = None
        if ident not in self.flights.up and not plan.refresh:
            found = self._get(store, key, plan, call.components, asked and asked.found)
            if isinstance(found, Found):
                self._tell_hit(x, key, call, found)
                return self.replay.hit(plan, found)
        note = x.cache_note = Note(key, ident, call, store)
        note.found = found
        return self._take_turn(x, plan, note, landings)

    def _tell_hit(self, x: Execution, key: str, call: Keyed | Standing, found: Found) -> None:
        """Say on the run what it reuses."""
        run, header = x.run, found.header
        run.cache_key = key
        is_said = call.packages  # what most hits go without a call for
        run.why = reused(header, self._notes(x, call, header) if is_said else tuple(call.notes))
        run.preview = found.preview
        if "hints" in header:
            sentinel.pass_on(x, header["hints"])

    def foresee(self, x: Execution) -> Foreseen:
        """Return what `look_up` would find now: nothing is counted, kept, waited for or warned of.

        `x` is thrown away afterwards.
        """
        plan: CachePlan = x.plan.cache
        try:
            call = keyed(x, plan)
            store = self._store(plan)
        except HashError as error:
            return Foreseen(_no_digest(plan, error))
        except Exception as error:
            return Foreseen(_no_way(error))
        key, request = call.key, call.request
        if key is None:
            return Foreseen(_NO_KEY)
        ident: Any = key if store is self.stores.default else (store.directory, key)
        note = Note(key, ident, call, store)
        flight = self.flights.up.get(ident)
        if flight is not None:
            request.notes.append(f"`{flight.holder.run.name}` is computing it right now")
        if not plan.refresh:
            found = self._get(Onlooker(store), key, plan, call.components)
            if isinstance(found, Found):
                if request.packages:
                    request.notes += upgrades(request.packages, found.header)
                return Foreseen(reused(found.header, tuple(request.notes)), ident, found)
            note.found = found
        known = self._known(plan, note)
        self._explain(x, plan, note, known)
        return Foreseen(x.run.why, ident)

    def _look_again(self, x: Execution, plan: CachePlan, note: Note) -> Ok | Flight | float | None:
        """Look for what the call has waited for."""
        landings = self.flights.landings
        note.look_again()
        if not plan.refresh:
            found = self._get(note.store, note.key, plan, note.components)
            if isinstance(found, Found):
                return self._hit(x, plan, note, found)
            note.found = found
        return self._take_turn(x, plan, note, landings)

    def _take_turn(
        self, x: Execution, plan: CachePlan, note: Note, landings: int
    ) -> Ok | Flight | float | None:
        """Wait while others compute the key, look once more if they may have, and say why not."""
        if x.flight is None and self._is_shared(plan, note):
            other = self.flights.board(x, note.ident)
            if other is not None:
                note.waited = other
                return other
            if x.flight is not None and self.flights.landed_since(note.ident, landings):
                note.look_again()
        known = self._known(plan, note)
        if x.flight is not None:
            turn = self.turns.take(x, plan, note.store, note.key, _is_quick(known))
            if isinstance(turn, Turn):
                note.waited = turn.who
                return turn.pause
            is_locked = x.flight is not None and x.flight.lock is not None
            if is_locked and (note.found is ABSENT or plan.isolation is not None):
                note.look_again()  # who had the lock before may have stored it since the look
        if note.found is None and not plan.refresh:
            found = self._get(note.store, note.key, plan, note.components)
            if isinstance(found, Found):
                return self._hit(x, plan, note, found)
            note.found = found
        self._explain(x, plan, note, known, x.run)
        self.overruled.note_miss(plan, x.definition.name, note.call.closures)
        sentinel.watch(x, note, known)
        self.replay.begin(x, plan, note)
        return None

    def _explain(
        self,
        x: Execution,
        plan: CachePlan,
        note: Note,
        known: list[Known],
        run: Run | None = None,
    ) -> None:
        """Say why the call is a miss, and keep what is to be stored beside its result.

        `run` is the one that computes now.
        """
        tried = None if known else self._earlier.of(plan.identity, x.definition.name, run)
        try:
            described = note.call.described
            if described is None:
                described = plan.policy.describe(note.call.request, note.components)
            note.components = described
        except Exception:
            note.call.request.notes.append("a fault kept its cache policy from describing the key")
        x.asked = False  # by functions that name the run or make its key
        x.run.why = self._miss(note, known, tried, givers(x))

    def _is_shared(self, plan: CachePlan, note: Note) -> bool:
        """Whether the call waits for others that compute its key, and has others wait for it."""
        if isinstance(note.waited, Flight) and note.waited.word == NOT_KEPT:
            note.is_alone = True
        if note.is_alone or plan.isolation is IsolationLevel.READ_COMMITTED:
            return False
        if plan.isolation is IsolationLevel.SERIALIZABLE:
            return True
        if plan.refresh or plan.readonly or plan.identity in self.flights.solo:
            return False
        return plan.explicit or plan.gives_result  # by default `None` is not kept

    def _hit(self, x: Execution, plan: CachePlan, note: Note, found: Found) -> Ok:
        x.cache_note = None
        who = note.waited
        by = f"`{who.holder.run.name}`" if isinstance(who, Flight) else who
        x.run.why = reused(found.header, self._notes(x, note.call, found.header), by)
        sentinel.pass_on(x, found.header.get("hints") or ())
        self._land(x, KEPT)
        return self.replay.hit(plan, found)

    def _notes(self, x: Execution, call: Keyed | Standing, header: Header) -> tuple[str, ...]:
        """Return what is to be said of a hit; versions that have changed are also logged, once."""
        if not call.packages:
            return tuple(call.notes)
        changed = upgrades(call.packages, header)
        for text in changed:
            if text not in self._upgrades_told:
                self._upgrades_told.add(text)
                x.services.log(x, 20, f"A result is reused: {text}")
        return (*call.notes, *changed)

    def land(self, x: Execution) -> None:
        """Let others compute the key of a run that ended without a result."""
        self._land(x, FAILED)

    def _land(self, x: Execution, word: str) -> None:
        flight: Flight | None = x.flight
        if flight is None:
            return
        try:
            if self.flights.leave(x) is not None:
                self.turns.give_back(flight)
                self.flights.land(flight, word)
        except BaseException:  # an interrupt, perhaps just after it was left: nobody else lands it
            try:
                self.turns.give_back(flight)
            finally:
                self.flights.land(flight, word)
            raise

    def _store(self, plan: CachePlan) -> AnyStore:
        storage = plan.storage
        if storage is None:
            if plan.key_place is None:
                return self.stores.default
            return self.stores.of(None, plan.key_place)
        return self.stores.of(storage.place, plan.key_place or storage.key_place)

    def _get(
        self,
        store: Readable,
        key: str,
        plan: CachePlan,
        components: list[Component],
        known: Found | Missing | None = None,
    ) -> Found | Missing:
        """Return what a look-up finds; `known` is what the store was found to have a moment ago."""
        try:
            found = self._read(store, plan, key, known)
            if found.__class__ is Found and not self.overruled.refreshes:
                return found
            read = partial(self._read, store, plan)
            return self.overruled.judge(store, plan, components, found, read)
        except Exception as error:
            return Missing("unreadable", f"{type(error).__name__}: {one_line(error)}", None)

    def _read(
        self, store: Readable, plan: CachePlan, key: str, known: Found | Missing | None = None
    ) -> Found | Missing:
        """Return what the store or, if that has nothing, a bundle has under a key."""
        found = known or store.get(key, in_memory=plan.in_memory)
        if isinstance(found, Missing) and isinstance(store, ResultStore | Onlooker):
            target = store if isinstance(store, ResultStore) and not plan.readonly else None
            found = self.stores.bundles.fetch(target, key, plan.in_memory) or found
        return found

    def _known(self, plan: CachePlan, note: Note) -> list[Known]:
        try:
            known = note.store.known(plan.identity)
            return [*known, *self.stores.bundles.known(plan.identity)]
        except Exception:
            return []

    def _miss(
        self, note: Note, known: list[Known], tried: Ending | None, gave: Mapping[str, str] | None
    ) -> Reason:
        found, notes = note.found, tuple(note.call.notes)
        if found is None or found.code == "refreshed":
            return Reason("miss", "refreshed", "ran: a refresh was asked for", notes=notes)
        if found.code == "expired":
            when = (found.header or {}).get("expires") or 0.0
            ago = seconds_text(max(0.0, time.time() - when))
            return Reason("miss", "expired", f"ran: its result expired {ago} ago", notes=notes)
        if isinstance(note.waited, Flight):
            notes += (f"waited for `{note.waited.holder.run.name}`, which left no result",)
        if found.code in {"unreadable", "foreign"}:
            return Reason("miss", found.code, f"ran: {found.message}", notes=notes)
        return Reason.later(explained, (note.components, known, notes, tried, gave))

    def _unstable(self, x: Execution, plan: CachePlan, error: HashError) -> Err | None:
        if plan.terms.strict:
            x.run.why = _no_digest(plan, error)
            message = f"Task `{x.definition.name}` is strict and was not run: {error}"
            return Err(HashError(message, error.path))
        argument = re.split(r"[.\[({]", error.path, maxsplit=1)[0]
        message = f"Task `{plan.identity}` is not cached: {error}"
        if plan.policy.warns:
            self.owner.warn(message, once=("unstable", plan.identity, x.definition.name, argument))
        x.run.why = _no_digest(plan, error)
        return None

    def _broken(self, x: Execution, plan: CachePlan, error: Exception) -> Reason:
        text = f"{type(error).__name__}: {one_line(error)}"
        message = f"Task `{plan.identity}` is not cached: computing its key failed: {text}"
        self.owner.warn(message, once=("key", plan.identity, x.definition.name))
        return _no_way(error)

    def _tell(self, message: str) -> None:
        self.owner.warn(message)


_NO_KEY = Reason("off", "no_key", "ran: the cache policy gave no key for this call")


def _no_digest(plan: CachePlan, error: HashError) -> Reason:
    if plan.terms.strict:
        return Reason("off", "unstable", f"did not run: {error}")
    name = f"`{error.path}` has" if error.path else "an argument has"
    return Reason("off", "unstable", f"ran: {name} no stable digest", notes=(str(error),))


def _no_way(error: Exception) -> Reason:
    text = f"{type(error).__name__}: {one_line(error)}"
    return Reason("off", "key_error", f"ran: computing the cache key failed ({text})")


def _is_quick(known: list[Known]) -> bool:
    """Whether the task's last result took so little time that it was not on disk at once.

    Then nobody in another process would find it at the end of a wait either.
    """
    return bool(known) and (known[0].header.get("seconds") or 0.0) < DURABLE_AFTER
