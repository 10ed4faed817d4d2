"""When the history is written: soon, but not while the user's code wants the interpreter.

To write down a short run takes longer than the run. So a burst of them is first left to end, for
at most half a second, and after each batch the interpreter is left to the user's code for some
times as long as the batch took.
"""

_PAUSE = 0.1
_LAZY_PAUSE = 0.25
_IDLE_AFTER = 100
_BURST = 300
"""Events between two looks from which on they are left to come to an end."""
_MOST_PUT_OFF = 5
"""Looks for which a burst is left to end."""
_REST = 8
_LONGEST_REST = 0.2
_MOST_WAITING = 200_000
"""Events from which on there is no rest."""


class Pace:
    """How long to wait before the next look at the events, and whether to write them then."""

    def __init__(self) -> None:
        self._idle = 0
        self._seen = 0
        """Events that waited at the last look."""
        self._put_off = 0
        """Looks since something was last written."""

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return _LAZY_PAUSE if self._idle > _IDLE_AFTER else _PAUSE

    def look(self, waiting: int, is_idle: bool, in_haste: bool) -> bool:
        """Whether to write now, with so many events waiting."""
        self._idle = self._idle + 1 if is_idle else 0
        grown, self._seen = waiting - self._seen, waiting
        if grown < _BURST or in_haste or self._put_off >= _MOST_PUT_OFF:
            self._seen = self._put_off = 0
            return True
        self._put_off += 1
        return False

    def rest(self, spent: float, waiting: int) -> float:
        """Seconds to rest after a batch that took so many of this thread's time."""
        return min(_REST * spent, _LONGEST_REST) if waiting < _MOST_WAITING else 0.0


__all__ = ["Pace"]
