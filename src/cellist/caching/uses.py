"""How often results were used and when last, recorded so seldom that reading stays reading."""

_EVERY_SECONDS = 3600.0


class Uses:
    """The uses of one session that are not recorded yet. For one thread at a time."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._recorded: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def take(
        self, counts: dict[str, int], now: float, *, everything: bool
    ) -> dict[str, tuple[int, float]]:
        """Add uses, and return what is to be recorded now: how often, and when last.

        Unless it is to be `everything`, an entry's uses are recorded once an hour.
        """
        for key, count in counts.items():
            self._counts[key] = self._counts.get(key, 0) + count
        due = {
            key: (count, now)
            for key, count in self._counts.items()
            if everything or now - self._recorded.get(key, 0.0) >= _EVERY_SECONDS
        }
        for key in due:
            del self._counts[key]
            self._recorded[key] = now
        return due

    def forget(self, key: str) -> None:
        """Do not record uses of an entry that is no more."""
        self._counts.pop(key, None)
