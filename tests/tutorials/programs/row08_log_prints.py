"""`log_prints`: what a task prints goes to its log."""

import sys

import cellist
from cellist import flow, task
from cellist.settings import temporary_settings


# %%
@task(log_prints=True, cache_policy=None)
def tell(name: str) -> str:
    print("my name is", name)
    print("to a file of its own", file=sys.__stdout__)
    return name


@task(log_prints=False, cache_policy=None)
def speak(name: str) -> str:
    print(name, "speaks")
    return name


@task(cache_policy=None)
def follow(name: str) -> str:
    print(name, "follows")
    return name


def log_of(state: cellist.State) -> list[str]:
    record = cellist.run(state.state_details.task_run_id)
    return [line.message for line in record.logs if line.level == 20 and "name" in line.message]


# %%
# Logged, not printed; what goes to a file is none of its business.
states = [one("Ann", return_state=True) for one in (tell, speak)]
# > Ann speaks
assert [log_of(state) for state in states] == [["my name is Ann"], []]


# %%
# Without the option a task does as its flow does.
@flow(log_prints=True)
def logged() -> list[cellist.State]:
    print("in the flow")
    return [one("Bob", return_state=True) for one in (follow, speak)]


@flow
def printed() -> None:
    print("in the flow")
    follow("Cy")


logged()
# > Bob speaks
printed()
# > in the flow
# > Cy follows
record = cellist.run("logged")
assert [line.message for line in record.logs if "flow" in line.message] == ["in the flow"]
(followed,) = cellist.runs(name="follow", flow="logged")["id"]
assert [line.message for line in cellist.run(followed).logs] == ["Bob follows"]

# %%
# And where nobody says anything a setting decides.
with temporary_settings({"PREFECT_LOGGING_LOG_PRINTS": True}):
    printed()
    speak("Dan")
# > Dan speaks
print("this is no run")
# > this is no run
