"""Each run logs its beginning and its end, without a line of code for it."""

import logging

from cellist import flow, task


# %%
class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.levelname, record.getMessage()))


@task
def count(words: str) -> int:
    return len(words.split())


@task
def fail() -> None:
    raise ValueError("no luck")


@flow
def tally(words: str) -> int:
    fail(return_state=True)
    return count(words)


# %%
lines = Lines()
logger = logging.getLogger()
logger.addHandler(lines)
before = logger.level
logger.setLevel(logging.INFO)
assert tally("to be or not") == 4
logger.removeHandler(lines)
logger.setLevel(before)

# %%
assert any("Beginning flow run" in text and "'tally'" in text for _, text in lines.said)
ends = [(level, text) for level, text in lines.said if "Finished in state" in text]
print(*[f"{level} {text.partition('Finished in ')[2]}" for level, text in ends], sep="\n")
# > ERROR state Failed('Task run encountered an exception ValueError: no luck')
# > INFO state Completed()
# > INFO state Completed()
