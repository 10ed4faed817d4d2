"""Each run is logged without a line of code for it, and has a logger for more."""

import itertools
import logging

import cellist
from cellist import flow, get_run_logger, task
from cellist.exceptions import MissingContextError


# %%
@task
def count(words: str) -> int:
    logger = get_run_logger()
    logger.info("counting %d letters", len(words))
    logger.warning("this is %s", "rough")
    return len(words.split())


@task(retries=1)
def fail() -> None:
    raise ValueError("no luck")


@flow
def tally(words: str) -> int:
    get_run_logger().info("a flow has one as well")
    fail(return_state=True)
    return count(words)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.levelname, record.getMessage()))


# %%
lines = Lines()
logger = logging.getLogger("cellist")
logger.addHandler(lines)
before = logger.level
logger.setLevel(logging.INFO)
assert tally("to be or not") == 4
logger.removeHandler(lines)
logger.setLevel(before)

# %%
# Through the standard loggers, for handlers of one's own.
assert ("INFO", "counting 12 letters") in lines.said
assert ("WARNING", "this is rough") in lines.said
assert ("INFO", "a flow has one as well") in lines.said
assert any("ValueError('no luck') - Retry 1/1" in text for _, text in lines.said)
assert any(kind == "ERROR" and "Retries are exhausted" in text for kind, text in lines.said)

# %%
# And in the record of the run.
logs = cellist.run("count").logs
assert [(line.level, line.message) for line in logs[:2]] == [
    (logging.INFO, "counting 12 letters"),
    (logging.WARNING, "this is rough"),
]
assert all(early.at <= late.at for early, late in itertools.pairwise(logs))

# %%
# Outside of runs there is no run to log for.
try:
    get_run_logger()
except MissingContextError as error:
    print(type(error).__name__)
# > MissingContextError
