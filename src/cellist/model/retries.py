"""How long to wait before the next attempt.

Delays are seconds. The jitter is a draw from an exponential distribution with the base delay as
its mean, cut off so that no wait is longer than `delay * (1 + factor)` and the average stays near
the base delay; the lower cut follows from the upper one (the rule Prefect 3.8.8 applies).
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

from cellist.exceptions import ConfigurationError

MAX_DELAYS = 50
_NO_LOWER_CUT = 50  # beyond this exponent the lower cut is below the precision of a float

Delays = float | list[float]

_random = random.SystemRandom()  # no draw of the user's own, whose numbers must go on undisturbed


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Return a function that gives delays doubling from `backoff_factor` seconds.

    `exponential_backoff(10)` with three retries waits 10, 20 and 40 seconds.
    """

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**attempt for attempt in range(min(retries, MAX_DELAYS))]

    return delays


def check_delays(value: Any, retries: int, owner: str) -> Delays:
    """Return the delays an option stands for: a number, a list, or a callable given `retries`.

    Raises `TypeError` for any other type and `ValueError` for a list longer than 50 or a
    negative delay; both name the owner of the option.
    """
    if callable(value):
        value = value(retries)
    if isinstance(value, list):
        given = cast("list[Any]", value)
        if len(given) > MAX_DELAYS:
            message = (
                f"Can not configure more than {MAX_DELAYS} retry delays per task: {owner} has "
                f"{len(given)} in `retry_delay_seconds`."
            )
            raise ValueError(message)
        return [_seconds(item, owner) for item in given]
    return _seconds(value, owner)


def _seconds(value: Any, owner: str) -> float:
    if hasattr(value, "total_seconds"):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = (
            f"Invalid `retry_delay_seconds` provided for {owner}: must be a number, a list of "
            f"numbers or a function from the number of retries to such a list, "
            f"not {type(value).__name__}."
        )
        raise TypeError(message)
    if value < 0 or math.isnan(value):
        message = f"`retry_delay_seconds` of {owner} must not be negative, got {value!r}."
        raise ValueError(message)
    return float(value)


def check_jitter(value: Any, owner: str) -> float | None:
    """Return the jitter factor. Raises `ValueError` if it is negative."""
    if value is not None and value < 0:
        message = f"`retry_jitter_factor` must be >= 0, got {value!r} for {owner}."
        raise ValueError(message)
    return value


def check_retries(value: Any, owner: str) -> int:
    """Return the number of retries. Raises `ConfigurationError` unless a whole number >= 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        message = f"`retries` of {owner} must be a whole number >= 0, got {value!r}."
        raise ConfigurationError(message)
    return value


def delay_before(retry: int, delays: Delays, jitter: float | None) -> float:
    """Return the seconds to wait before retry number `retry`, counted from 0.

    The last of several delays repeats.
    """
    if isinstance(delays, Sequence):
        delay = delays[min(retry, len(delays) - 1)] if delays else 0.0
    else:
        delay = delays
    if delay > 0 and jitter:
        return _jittered(delay, jitter)
    return delay


def _jittered(delay: float, factor: float) -> float:
    exponent = 1 + factor
    low = 0.0
    if exponent < _NO_LOWER_CUT:
        power = 2.0**exponent
        low = delay * math.log2(power / (power - 1))
    high = delay * exponent
    smallest, largest = (1 - math.exp(-bound / delay) for bound in (low, high))
    draw = _random.uniform(smallest, largest)
    return min(high, -delay * math.log1p(-draw))
