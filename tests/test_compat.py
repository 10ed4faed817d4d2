"""The names and module paths that code written for Prefect imports."""

import importlib.util
import json
import pickle
import subprocess
import sys

import pytest

import cellist
from cellist import compat

SURFACE = """
cellist | flow, task, Flow, Task, State, Transaction, tags, unmapped, allow_failure, get_run_logger, pause_flow_run, suspend_flow_run, resume_flow_run, apause_flow_run, asuspend_flow_run, aresume_flow_run, runtime, context, __version__
cellist.tasks | task, Task, task_input_hash, exponential_backoff, TaskOptions
cellist.flows | flow, Flow
cellist.states | State, Scheduled, Pending, Running, Completed, Failed, Crashed, Cancelling, Cancelled, Paused, Suspended, AwaitingRetry, AwaitingConcurrencySlot, Retrying, Late, Submitting, InfrastructurePending, StateGroup, get_state_exception, aget_state_exception, raise_state_exception, araise_state_exception, is_state_iterable, format_exception
cellist.client.schemas.objects | StateType, TaskRun, FlowRun, State, StateDetails, TERMINAL_STATES
cellist.client.schemas | StateType, TaskRun, FlowRun, State, StateDetails, TERMINAL_STATES
cellist.futures | PrefectFuture, PrefectTaskRunFuture, PrefectWrappedFuture, PrefectConcurrentFuture, PrefectFlowRunFuture, PrefectFutureList, as_completed, wait, DoneAndNotDoneFutures, resolve_futures_to_states, resolve_futures_to_results
cellist.cache_policies | CachePolicy, CacheKeyFnPolicy, CompoundCachePolicy, Inputs, TaskSource, FlowParameters, RunId, INPUTS, TASK_SOURCE, FLOW_PARAMETERS, RUN_ID, NO_CACHE, NONE, DEFAULT
cellist.task_runners | TaskRunner, ThreadPoolTaskRunner, ConcurrentTaskRunner, ProcessPoolTaskRunner, SequentialTaskRunner
cellist.dask | DaskTaskRunner, get_dask_client, get_async_dask_client
cellist.dask.task_runners | DaskTaskRunner
cellist.ray | RayTaskRunner, remote_options
cellist.ray.context | remote_options
cellist_dask | DaskTaskRunner, get_dask_client, get_async_dask_client
cellist_dask.task_runners | DaskTaskRunner
cellist_ray | RayTaskRunner, remote_options
cellist_ray.task_runners | RayTaskRunner
cellist_ray.context | remote_options
cellist.transactions | transaction, atransaction, Transaction, AsyncTransaction, get_transaction, IsolationLevel, CommitMode, TransactionState
cellist.context | get_run_context, FlowRunContext, EngineContext, TaskRunContext, TagsContext, tags, with_context, serialize_context, hydrated_context
cellist.runtime | flow_run, task_run, deployment
cellist.runtime.flow_run | id, name, parameters, root_flow_run_id
cellist.runtime.task_run | id, name, task_name, run_count
cellist.runtime.deployment | id, name, version, parameters, flow_run_id
cellist.logging | get_run_logger, get_logger, disable_run_logger
cellist.logging.loggers | flow_run_logger, task_run_logger, print_as_log, patch_print, get_run_logger
cellist.utilities.annotations | unmapped, allow_failure, quote, Quote, opaque, freeze, NotSet
cellist.annotations | unmapped, allow_failure, quote, opaque
cellist.settings | temporary_settings, get_current_settings, PREFECT_TASKS_REFRESH_CACHE, PREFECT_LOGGING_LEVEL, CELLIST_LOGGING_LEVEL
cellist.testing.utilities | prefect_test_harness
cellist.testing | prefect_test_harness, cellist_test_harness
cellist.task_engine | TaskRunTimeoutError
cellist.flow_engine | FlowRunTimeoutError
cellist.results | ResultStore, ResultRecord, ResultRecordMetadata, get_result_store, should_persist_result
cellist.serializers | Serializer, PickleSerializer, JSONSerializer, CompressedSerializer, CompressedPickleSerializer, CompressedJSONSerializer
cellist.locking.memory | MemoryLockManager
cellist.locking.filesystem | FileSystemLockManager
cellist.locking.protocol | LockManager
cellist.flow_runs | pause_flow_run, suspend_flow_run, resume_flow_run, wait_for_flow_run
cellist.input | RunInput
cellist.exceptions | PrefectException, FailedRun, CrashedRun, CancelledRun, PausedRun, UnfinishedRun, MissingResult, UpstreamTaskError, MissingContextError, ParameterTypeError, ParameterBindError, SignatureMismatchError, ReservedArgumentError, InvalidNameError, MappingLengthMismatch, MappingMissingIterable, SerializationError, HashError, ConfigurationError, NotPausedError, FlowPauseTimeout, FlowRunWaitTimeout, ObjectNotFound, PrefectSignal, Abort, Pause, ExternalSignal, TerminationSignal
"""  # noqa: E501 - the table of SPEC §1, as far as it is made

ROWS = [
    (module.strip(), name.strip())
    for module, names in (line.split("|") for line in SURFACE.strip().splitlines())
    for name in names.split(",")
]


@pytest.mark.parametrize(("module", "name"), ROWS)
def test_every_name_of_the_table_can_be_imported(module, name):
    found: dict[str, object] = {}
    exec(f"from {module} import {name} as found", found)
    assert "found" in found


MADE = sorted(compat.ALIASES)


@pytest.mark.parametrize("path", MADE)
def test_an_alias_is_the_module_it_stands_for(path):
    alias = importlib.import_module(f"cellist.{path}")
    target = compat.ALIASES[path]
    if target is None:
        assert vars(alias)["__path__"] is not None
        return
    real = importlib.import_module(f"cellist.{target}")
    if "__path__" in vars(alias) and alias is not real:
        assert {name: getattr(alias, name) for name in real.__all__} == {
            name: getattr(real, name) for name in real.__all__
        }
    else:
        assert alias is real


@pytest.mark.parametrize(
    "program",
    [
        "import cellist.utilities.annotations; x = cellist.utilities.annotations.unmapped",
        "import cellist; x = cellist.utilities.annotations.unmapped",
        "import cellist.utilities.annotations as a; x = a.unmapped",
        "from cellist.utilities import annotations; x = annotations.unmapped",
        "from cellist.utilities.annotations import unmapped as x",
        "from cellist.utilities.annotations import *; x = unmapped",
        "import importlib; x = importlib.import_module('cellist.utilities.annotations').unmapped",
    ],
)
def test_every_way_to_import_an_alias(program):
    whole = f"{program}\nimport json; print(json.dumps([x.__module__, x.__name__]))"
    done = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == ["cellist.model.annotations", "unmapped"]


@pytest.mark.parametrize("name", ["states", "futures", "tasks", "exceptions", "utilities"])
def test_modules_are_attributes_of_the_package(name):
    program = f"import cellist; print(cellist.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"cellist.{name}"


def test_an_alias_can_be_looked_for():
    assert importlib.util.find_spec("cellist.utilities.annotations") is not None
    assert importlib.util.find_spec("cellist.utilities.nothing") is None


def test_what_is_reached_through_an_alias_pickles_reloads_and_lists():
    objects = importlib.import_module("cellist.client.schemas.objects")
    schemas = importlib.import_module("cellist.client.schemas")
    state = schemas.State(objects.StateType.COMPLETED, data=3)
    assert pickle.loads(pickle.dumps(state)).data == 3
    assert pickle.loads(pickle.dumps(schemas.StateType)) is objects.StateType
    assert "StateType" in dir(objects)
    assert "StateType" in schemas.__all__
    assert importlib.reload(schemas).StateType is objects.StateType
    assert importlib.reload(importlib.import_module("cellist.utilities")) is not None
    loggers = importlib.import_module("cellist.runtime.task_run")
    assert importlib.reload(loggers) is loggers


def test_a_patch_through_an_alias_meets_the_one_module(monkeypatch):
    monkeypatch.setattr("cellist.utilities.annotations.Quote", 5)
    assert importlib.import_module("cellist.annotations").Quote == 5


def test_aliases_cost_nothing_until_used():
    program = (
        "import json, sys; before = set(sys.modules); import cellist\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.startswith("cellist")] == [
        "cellist",
        "cellist.compat",
        "cellist.model",
        "cellist.model.environment",  # what the process was started with, before others change it
    ]
    assert "importlib.abc" not in loaded  # it brings tempfile, zipfile and more: 15 ms


def test_installing_twice_is_installing_once():
    before = list(sys.meta_path)
    compat.install()
    importlib.reload(cellist)
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("from cellist import deploy", "no 'deploy'. cellist has no server"),
        ("from cellist import get_client", "cellist.runs()"),
        ("from cellist import variables", "pass it as a parameter"),
        ("import cellist.artifacts", "IPython.display.display"),
        ("from cellist.artifacts import create_table_artifact", "IPython.display.display"),
        ("from cellist.client.orchestration import get_client", "read the history"),
        ("from cellist import nothing_at_all", "cannot import name 'nothing_at_all'"),
        ("import cellist.nothing_at_all", "No module named 'cellist.nothing_at_all'"),
        ("from cellist.utilities import nothing", "cannot import name 'nothing'"),
    ],
)
def test_what_is_left_out_says_so(statement, says):
    with pytest.raises(ImportError) as caught:
        exec(statement, {})
    assert says in str(caught.value)


def test_what_is_left_out_is_no_attribute():
    assert not hasattr(cellist, "deploy")
    with pytest.raises(AttributeError, match=r"cellist has no 'deploy'. cellist has no server"):
        print(cellist.deploy)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        print(cellist.nothing)


@pytest.mark.parametrize("name", ["deploy", "adeploy", "serve", "to_deployment"])
def test_a_flow_says_what_to_do_instead_of_deploying(name):
    made = cellist.flow(lambda: None)
    assert not hasattr(made, name)
    with pytest.raises(AttributeError, match=f"Flow has no '{name}'. .* script that cron starts"):
        getattr(made, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(made, "nothing")  # noqa: B009 - a checker would see that it is not there
