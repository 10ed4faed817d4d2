"""Name, description and version of a flow."""
# pyright: reportRedeclaration=false
# A cell is edited and run again.

import os

import cellist
from cellist import flow, runtime


# %%
@flow(name="Sing a song", description="Twice, if asked.", version="7")
def sing(times: int = 1) -> str | None:
    """Not shown: there is a description."""
    return runtime.flow_run.flow_version


@flow
def hum_along(times: int = 1) -> str | None:
    """Hum quietly.

    Nobody may hear it.
    """
    return runtime.flow_run.flow_version


@flow
def whistle() -> None:
    pass


print(sing.name, "|", sing.description, "|", sing.version)
# > Sing a song | Twice, if asked. | 7
print(hum_along.name, "|", (hum_along.description or "").splitlines()[0])
# > hum-along | Hum quietly.
assert whistle.description in {None, ""}
assert sing() == "7"
assert set(cellist.runs(kind="flow")["definition"]) == {"Sing a song"}


# %%
# The version from the environment; where it is not set, None, which is no version given.
def version_of(setting: str) -> str | None:
    @flow(version=os.getenv(setting))
    def play() -> str | None:
        return runtime.flow_run.flow_version

    assert play() == play.version
    return play.version


os.environ["TUNE_VERSION"] = "3.1"
print(version_of("TUNE_VERSION"))
# > 3.1
by_source = version_of("NOT_SET_ANYWHERE")
assert by_source

# %%
# Without one it comes from the source: the same for the same code, another for other code.
before = hum_along.version
assert before
assert hum_along() == before


@flow
def hum_along(times: int = 1) -> str | None:
    """Hum quietly."""
    # moved, and commented
    return runtime.flow_run.flow_version


assert hum_along.version == before


@flow
def hum_along(times: int = 2) -> str | None:
    return (runtime.flow_run.flow_version or "") * 1


assert hum_along.version not in {before, None}

# %%
# Options by a copy, and a name that cannot be.
assert sing.with_options(name="Sing again", version="8").version == "8"
for wrong in ("a/b", "50 %", "<tune>"):
    try:
        flow(name=wrong)(whistle.fn)
    except ValueError as error:
        print(type(error).__name__)
# > InvalidNameError
# > InvalidNameError
# > InvalidNameError
