"""The same for several repositories at once, with async tasks and a mapped one."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from local_api import ISSUES, Api, served

from cellist import flow, get_run_logger, runs, task


# %%
async def get(url: str) -> Any:
    """Fetch a document with streams of asyncio."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path}?{parts.query} HTTP/1.0\r\n\r\n".encode())
    await writer.drain()
    head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert b" 200 " in head
    return json.loads(body)


@task
async def fetch(url: str) -> list[dict]:
    get_run_logger().info("asking %s", url)
    return await get(url)


@task
def count_by_user(pages: list[list[dict]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for issue in (issue for page in pages for issue in page):
        counts[issue["user"]] = counts.get(issue["user"], 0) + 1
    return dict(sorted(counts.items()))


# %%
@flow
async def by_user(url: str) -> dict[str, int]:
    urls = [
        f"{url}/repos/{name}/issues?page={page}"
        for name, pages in ISSUES.items()
        for page in range(1, len(pages) + 1)
    ]
    pages = await asyncio.gather(*[fetch(one) for one in urls])
    return count_by_user(list(pages))


@flow
def by_user_submitted(url: str) -> dict[str, int]:
    urls = [f"{url}/repos/{name}/issues?page=1" for name in ISSUES]
    return count_by_user.submit(fetch.map(urls)).result()  # futures go into the next task


# %%
async def main() -> None:
    with served(Api(at_once=6)) as url:
        print(await by_user(url))
    # > {'babbage': 4, 'hopper': 8, 'lovelace': 6, 'turing': 5}


asyncio.run(main())

# %%
with served(Api(at_once=3)) as url:
    print(by_user_submitted(url))
# > {'hopper': 8, 'lovelace': 3, 'turing': 5}

# %%
frame = runs(kind="task", flow="by-user-submitted")
assert sorted(frame["definition"]) == ["count_by_user", "fetch", "fetch", "fetch"]
assert set(frame["state"]) == {"Completed"}
