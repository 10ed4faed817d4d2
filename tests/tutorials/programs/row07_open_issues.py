"""Fetch the pages of a repository side by side, and average the open issues of a user."""

import json
import logging
from urllib.request import urlopen

from local_api import Api, served

from cellist import flow, get_run_logger, task


# %%
class Lines(logging.Handler):
    """Keeps what the runs log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


lines = Lines()
logging.getLogger("cellist.task_runs").addHandler(lines)
logging.getLogger("cellist.task_runs").setLevel(logging.INFO)


# %%
@task
def fetch(url: str) -> dict:
    with urlopen(url, timeout=60) as answer:
        return json.load(answer)


@task
def fetch_page(url: str, page: int) -> list[dict]:
    logger = get_run_logger()
    logger.info("asking for page %d", page)
    with urlopen(f"{url}/issues?page={page}", timeout=60) as answer:
        issues = json.load(answer)
    logger.info("got page %d", page)
    return issues


@flow
def open_issues(url: str, repository: str) -> float:
    """Return how many open issues there are for each user who has some."""
    stats = fetch(f"{url}/repos/{repository}")
    futures = [
        fetch_page.submit(f"{url}/repos/{repository}", page)
        for page in range(1, stats["pages"] + 1)
    ]
    issues = [issue for future in futures for issue in future.result()]
    users = {issue["user"] for issue in issues}
    return len(issues) / len(users)


# %%
# The service answers for a page only when all three have been asked for.
api = Api(at_once=3)
with served(api) as url:
    average = open_issues(url, "ada/engine")
print("issues per user:", average)
# > issues per user: 4.5
assert api.asked["/repos/ada/engine/issues?page=2"] == 1

# %%
# So the logs are interleaved: all have asked before one has got anything.
own = [line for line in lines.said if "page" in line]
assert sorted(own[:3]) == ["asking for page 1", "asking for page 2", "asking for page 3"]
assert sorted(own[3:]) == ["got page 1", "got page 2", "got page 3"]

# %%
# Called directly they go one after the other.
lines.said.clear()


@flow
def one_by_one(url: str, repository: str) -> int:
    found = [fetch_page(f"{url}/repos/{repository}", page) for page in (1, 2)]
    return sum(len(issues) for issues in found)


with served(Api(at_once=1)) as url:
    print("issues:", one_by_one(url, "alan/machine"))
# > issues: 6
own = [line for line in lines.said if "page" in line]
assert own == ["asking for page 1", "got page 1", "asking for page 2", "got page 2"]
logging.getLogger("cellist.task_runs").removeHandler(lines)
