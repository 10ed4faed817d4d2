"""Ask an unreliable service until it answers 2xx, but not when it says 401 or 404."""

import asyncio
import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from local_api import Api, served

import cellist
from cellist import flow, task

# %%
api = Api()


def worth_it(task: Any, task_run: Any, state: Any) -> bool:
    """Retry unless the service has made its mind up."""
    try:
        state.result()
    except HTTPError as error:
        return error.code not in {401, 404}
    return True


@task(retries=5, retry_delay_seconds=0.01, retry_condition_fn=worth_it)
def ask(url: str) -> dict:
    try:
        with urlopen(url, timeout=60) as answer:
            return json.load(answer)
    except HTTPError as error:
        error.close()
        raise


@flow
def check(url: str) -> dict:
    return ask(url)


# %%
api.answers = {
    "/weather": [500, 503, 429, 200],
    "/secret": [401],
    "/nowhere": [404],
    "/soon-gone": [500, 404],
    "/broken": [500],
}
with served(api) as url:
    print(check(f"{url}/weather"))
    # > {'path': '/weather', 'code': 200}
    for path in ("secret", "nowhere", "soon-gone", "broken"):
        try:
            check(f"{url}/{path}")
        except HTTPError as error:
            print(path, error.code, "asked", api.asked[f"/{path}"])
    # > secret 401 asked 1
    # > nowhere 404 asked 1
    # > soon-gone 404 asked 2
    # > broken 500 asked 6

# %%
assert api.asked["/weather"] == 4
record = cellist.run(cellist.runs(name="ask")["id"].iloc[-1])
print(
    " → ".join(state.name for state in record.states).replace("AwaitingRetry → Retrying", "again")
)
# > Pending → Running → again → again → again → Completed


# %%
# The same with an async task that talks over streams, many at once.
class Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def not_final(task: Any, task_run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return not isinstance(error, Refused) or error.code not in {401, 404}


@task(retries=3, retry_delay_seconds=[0.01, 0.02], retry_condition_fn=not_final)
async def ask_async(url: str) -> int:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path} HTTP/1.0\r\n\r\n".encode())
    await writer.drain()
    head = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    code = int(head.split()[1])
    if code >= 300:
        raise Refused(code)
    return code


@flow
async def check_all(url: str, paths: list[str]) -> list[Any]:
    calls = [ask_async(f"{url}/{path}") for path in paths]
    return await asyncio.gather(*calls, return_exceptions=True)


# %%
async def main() -> None:
    api.answers = {"/a": [500, 204], "/b": [503, 500, 500, 200], "/c": [401], "/d": [500]}
    with served(api) as url:
        print(await check_all(url, ["a", "b", "c", "d"]))


asyncio.run(main())
# > [204, 200, Refused(401), Refused(500)]

# %%
print([api.asked[path] for path in ("/a", "/b", "/c", "/d")])
# > [2, 4, 1, 4]
