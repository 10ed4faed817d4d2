"""Every error cellist raises, by what a caller would do about it.

    Exception
    └── CellistError                       (also importable as PrefectException)
        ├── a definition or a call must be mended
        │   ├── ParameterTypeError, ParameterBindError(TypeError), SignatureMismatchError(TypeError)
        │   ├── ReservedArgumentError(TypeError), InvalidNameError(ValueError)
        │   ├── MappingLengthMismatch, MappingMissingIterable
        │   ├── ConfigurationError, MissingContextError(RuntimeError)
        │   ├── FlowVisualizationError, VisualizationUnsupportedError
        │   ├── ConcurrencySlotAcquisitionError
        │   └── IllegalTransition
        ├── a run did not give a value
        │   ├── FailedRun, CrashedRun, CancelledRun, PausedRun, UnfinishedRun
        │   ├── MissingResult, UpstreamTaskError
        │   ├── NotPausedError, FlowPauseTimeout, FlowRunWaitTimeout
        │   └── UnattendedPause(FlowPauseTimeout)
        └── a value or a record is not to be had
            └── SerializationError, HashError, ObjectNotFound, QueueError
    TimeoutError
    └── TaskRunTimeoutError, FlowRunTimeoutError, AcquireConcurrencySlotTimeoutError
    BaseException
    ├── PrefectSignal: Abort, Pause
    └── ExternalSignal: TerminationSignal

A user's own exception is never wrapped: it comes through as the object that was raised.
All of them survive pickling.
"""

from typing import Any


class CellistError(Exception):
    """Base of all errors raised by cellist itself."""


PrefectException = CellistError


class ParameterTypeError(CellistError):
    """Flow parameters do not fit their annotations."""


class ParameterBindError(TypeError, CellistError):
    """The arguments of a call do not fit the function's signature."""


class SignatureMismatchError(CellistError, TypeError):
    """Parameters given by name do not match the function's signature."""


class ReservedArgumentError(CellistError, TypeError):
    """A function uses a parameter name that cellist needs for itself."""


class InvalidNameError(CellistError, ValueError):
    """A name holds characters that are not allowed."""


class MappingLengthMismatch(CellistError):
    """Arguments of `map` have different lengths."""


class MappingMissingIterable(CellistError):
    """`map` was called with nothing to map over."""


class ConfigurationError(CellistError):
    """Settings or options contradict each other or cannot be understood."""


class MissingContextError(CellistError, RuntimeError):
    """Something that only exists inside a run was asked for outside one."""


class FlowVisualizationError(CellistError):
    """A flow cannot be drawn without its tasks: its code needs the value of a placeholder."""


class VisualizationUnsupportedError(FlowVisualizationError):
    """A flow that is being drawn asked for something that only a real run can do."""


class IllegalTransition(CellistError):
    """A run was asked to enter a state its present state does not lead to."""


class ConcurrencySlotAcquisitionError(CellistError):
    """The slots asked for can never be had: no such limit, more than it has, or held by oneself."""


class FailedRun(CellistError):
    """The run failed and left no exception object to raise instead."""


class CrashedRun(CellistError):
    """The run was ended from outside: its process, thread or loop went away."""


class CancelledRun(CellistError):
    """The run was cancelled by a person or a program."""


class UnfinishedRun(CellistError):
    """The run is not final yet, so it has no result."""


class PausedRun(CellistError):
    """The run is paused. `state` is the paused state."""

    def __init__(self, *args: Any, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class MissingResult(CellistError):
    """The run completed, but its value is not kept anywhere."""


class UpstreamTaskError(UnfinishedRun):
    """A run this one depends on did not complete, so it has not run and has no result.

    `upstream` says which one, and what became of it: "its input `fetch-001` failed", or "its input
    `count-002` did not run, since `fetch-001` failed". `root` is the last part: what went wrong
    first. The cause is the exception of that run.
    """

    upstream = "an input did not complete"
    root = "a run did not complete"


class NotPausedError(CellistError):
    """A run that is not paused was asked to resume."""


class FlowPauseTimeout(CellistError):
    """Nobody resumed a paused flow run in time."""


class UnattendedPause(FlowPauseTimeout):
    """A flow run would pause where nobody can resume it. The message says what could."""


class FlowRunWaitTimeout(CellistError):
    """A flow run did not become final within the time given."""


class SerializationError(CellistError):
    """A value cannot be turned into bytes, or bytes into a value."""


class BundleError(CellistError):
    """A bundle cannot be written or read. The message names the file and what is wrong."""


class HashError(CellistError):
    """A value has no stable digest. `path` leads to the culprit, such as `cfg['db'].conn`."""

    def __init__(self, message: str = "", path: str = "") -> None:
        super().__init__(message, path)
        self.path = path

    def __str__(self) -> str:
        return str(self.args[0])


class ObjectNotFound(CellistError):
    """No run or record goes by this id or name."""


class QueueError(CellistError):
    """The queue of deferred runs cannot be used. The message names the file and what is wrong."""


class TaskRunTimeoutError(TimeoutError):
    """A task run took longer than its `timeout_seconds`."""


class FlowRunTimeoutError(TimeoutError):
    """A flow run took longer than its `timeout_seconds`."""


class AcquireConcurrencySlotTimeoutError(TimeoutError):
    """No slots became free within `timeout_seconds`."""


class PrefectSignal(BaseException):
    """Base of signals that steer a run and that `except Exception` must not catch."""


class Abort(PrefectSignal):
    """The run must stop without recording anything more."""


class Pause(PrefectSignal):
    """The run must pause. `state` is the paused state."""

    def __init__(self, *args: Any, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class ExternalSignal(BaseException):
    """Base of signals that come from outside the process."""


class TerminationSignal(ExternalSignal):
    """The process was asked to end. `signal` is the number of the signal."""

    def __init__(self, signal: int = 15) -> None:
        super().__init__(signal)
        self.signal = signal
