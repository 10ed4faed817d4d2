"""`task_input_hash` and `cache_expiration`: the same input within a while is not done again."""
# pyright: reportRedeclaration=false
# A cell is edited and run again.

import time
from datetime import timedelta

import cellist
from cellist import flow, task
from cellist.tasks import task_input_hash


# %%
@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(minutes=1))
def hello_task(name: str) -> str:
    print("Saying hello to", name)
    return f"hello {name}"


@flow(name="hello-flow")
def hello_flow(name: str) -> str:
    return hello_task(name)


# %%
print(hello_flow("Marvin"))
# > Saying hello to Marvin
# > hello Marvin

# %%
# A second flow run within the minute.
print(hello_flow("Marvin"))
# >+ Saying hello to Marvin
# > hello Marvin
print(cellist.run("hello_task").state)
# > Cached

# %%
# Another argument.
print(hello_flow("Trillian"))
# > Saying hello to Trillian
# > hello Trillian
print(list(cellist.runs(name="hello_task")["state"]))
# > ['Completed', 'Cached', 'Completed']


# %%
# Another body: the code is in the hash.
@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(minutes=1))
def hello_task(name: str) -> str:  # noqa: F811 - the cell was edited
    print("Saying hello loudly to", name)
    return f"HELLO {name}"


print(hello_flow("Marvin"))
# > Saying hello loudly to Marvin
# > HELLO Marvin


# %%
# After it has expired it is done again.
@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(milliseconds=300))
def brief(x: int) -> int:
    print("computing", x)
    return x + 1


@flow
def ask(x: int) -> str:
    state = brief(x, return_state=True)
    assert state.result() == x + 1
    return state.name


made = time.time()
print(ask(1))
# > computing 1
# > Completed
again = ask(2)
# > computing 2
entries = cellist.cache.entries()
expires = entries[entries["task"] == "brief"]["expires"].max().timestamp()
assert 0.3 <= expires - made < 30
time.sleep(max(0.0, expires - time.time()) + 0.01)
print(ask(1))
# > computing 1
# > Completed
assert "expired" in str(cellist.run("brief").why)
