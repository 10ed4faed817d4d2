"""A cell as one cached task; see `cellrun` for how it runs.

On a hit its outputs are restored, what it showed is shown again and its body is skipped. On a miss
it runs like any cell, is watched, and is kept unless that would be wrong; then the reason says what
stands in the way.
"""

import ast
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from IPython.display import DisplayHandle

from cellist import settings
from cellist.engine.commands import Command, Err, Offload, Ok, Outcome
from cellist.engine.drivers import aperform
from cellist.engine.errors import one_line
from cellist.engine.execution import current_cell
from cellist.model.reasons import Reason
from cellist.notebook import cellkey
from cellist.notebook.cellcode import Code
from cellist.notebook.cellrun import CellRun, body
from cellist.notebook.cells import this_cell
from cellist.notebook.definitions import Definitions, Unkept
from cellist.notebook.expressions import CellNames
from cellist.notebook.filewatch import own_places
from cellist.notebook.kernel import ui_for
from cellist.notebook.notices import say
from cellist.notebook.outputs import (
    CellValue,
    Outputs,
    copies_of,
    restore,
    roll_back,
    values_of,
)
from cellist.notebook.preparing import check_choices
from cellist.notebook.showing import Nothing, flush_figures, replay, start
from cellist.notebook.surroundings import Stale, Surroundings
from cellist.notebook.task_options import TaskOptions, parse_task_line
from cellist.notebook.transform import ATTEMPT_NAME, TASK_NAME, show_as_written
from cellist.recording import Recorder, close_cell
from cellist.refreshed import compare_with_stored, is_refreshed
from cellist.tasks import Task

_RANDOM = (
    "this cell draws from the global random generator, and on a hit its draws are those of the "
    "first run; `rng = numpy.random.default_rng(seed)` in the cell says what they depend on"
)
_SELF_SAID = frozenset({"no_cache", "disabled"})


class CellTask(CellRun):
    """The task run of one execution of a cell."""

    def __init__(self, options: TaskOptions, code: Code) -> None:
        self.options = options
        self.code = code
        self.shell = code.shell
        self.namespace: MutableMapping[str, Any] = code.shell.user_ns
        self.value: Any = None
        """The value of the last expression."""
        self.recorder = Recorder(current_cell.get())
        self.restored: CellValue | None = None
        """What a hit gave."""
        self.before = dict(self.namespace)
        doubtful, inputs = (
            {name: self.before[name] for name in names if name in self.before}
            for names in (code.names.doubtful(), code.names.reads)
        )
        self.surroundings = Surroundings(code.body, code.known, doubtful, inputs)
        self.definitions = Definitions(code.names, code.body, code.filename)
        self.outputs = Outputs(
            code.names, self.definitions, self.before, options.outputs, options.skip
        )
        how = (code.shell.ast_node_interactivity, code.is_quiet)
        self.policy = cellkey.CellSource(code.text, (*options.semantics(), how))
        self._hint: str | None = None
        self._stale: Reason | None = None
        """Why the result that was found first is not used."""
        self._is_forced = False
        """Whether it runs because what is stored is not to be used."""
        task, off = self._make_task()
        super().__init__(task)
        self.surroundings.files.own = own_places(self.execution.services.store.directory)
        if off is not None:
            self.execution.plan = self.execution.plan.with_cache(off)

    def _make_task(self) -> tuple[Task[..., Any], Reason | None]:
        """Return the task that the cell is, and why it cannot be cached if so."""
        options, names = self.options, self.code.names
        off = self._unsound()
        function: Any = body
        if off is None:
            try:
                function = cellkey.key_function(self.code.body, names, self.before, options.inputs)
            except Exception as error:
                text = f"{type(error).__name__}: {one_line(error)}"
                off = Reason("off", "key_error", f"ran: its key cannot be made ({text})")
        task = Task(
            function,
            name=options.name or this_cell().title,
            retries=options.retries,
            retry_delay_seconds=options.retry_delay,
            timeout_seconds=options.timeout,
            cache_policy=self.policy,
            cache_expiration=options.expire,
            refresh_cache=True if options.refresh else None,
            replay=False,  # a cell is recorded whole, and shown again here
            strict=False,  # a cell runs uncached, and its reason says why
        )
        task.identity = f"%%task {options.name or _described(names)}"
        return task, off

    def _unsound(self) -> Reason | None:
        """Return why the cell is not to be cached, told by its code alone."""
        names, options = self.code.names, self.options
        if options.no_cache:
            return Reason("off", "no_cache", "ran: caching is off (--no-cache)")
        if names.hidden and (options.inputs is None or options.outputs is None):
            what, line = next(iter(names.hidden.items()))
            text = (
                f"ran uncached: `{what}` in line {line} hides which names it uses; "
                "`--in` and `--out` can say them"
            )
            return Reason("off", "unsound", text)
        changing = cellkey.unsafe_reads(names, self.before) if options.inputs is None else []
        if changing:
            text = f"ran uncached: it reads `{changing[0]}`, which is another after each cell"
            return Reason("off", "unsound", text)
        return None

    # -- the run --

    async def perform(self, command: Command) -> Outcome:
        """Perform one command; results are packed and unpacked here, on the main thread."""
        cache = self.execution.services.cache
        if not isinstance(command, Offload):
            return await super().perform(command)
        if command.fn == cache.remember:
            return await self._remember(command)
        outcome = await super().perform(command)
        if command.fn == cache.look_up and isinstance(outcome, Ok):
            found = outcome.value
            if found is None and self._stale is not None:
                self.execution.run.why = self._stale
            if isinstance(found, Ok):
                return await self._restore(command, found.value)
        return outcome

    async def _restore(self, command: Offload, pack: Any) -> Outcome:
        """Return the outputs put in place as the hit, or look up again for a miss."""
        run, cache = self.execution.run, self.execution.plan.cache
        try:
            if run.why is not None and run.why.code == "accepted":
                self.outputs.check_accepted(pack)
            self.surroundings.check(pack["around"])
            self.restored = restore(
                pack, self.code.names, self.code.body, self.namespace, self.code.execute
            )
            self.surroundings.restore(pack["around"])
            return Ok(Ok(self.restored))
        except Stale as stale:
            why = Reason("miss", "changed", f"ran: {stale}")
            if self.policy.state is None:  # there may be a result of these surroundings, too
                self.policy.state, self._stale = stale.state, why
                return await self.perform(command)
        except Exception as error:
            text = f"{type(error).__name__}: {one_line(error)}"
            sentence = f"ran: its stored outputs could not be restored ({text})"
            why = Reason("miss", "unreadable", sentence)
        cache.refresh = True  # the plan is this run's own
        self._is_forced = True
        outcome = await super().perform(command)
        run.why = why
        return outcome

    async def _remember(self, command: Offload) -> Outcome:
        execution, value, seconds = command.args
        self._compare(value.pack)
        run, why = execution.run, execution.run.why
        outcome = await super().perform(Offload(command.fn, execution, value.pack, seconds))
        if self.policy.refusal is not None and why is not None:
            sentence = f"{why.sentence}; its result is not kept: {self.policy.refusal}"
            run.why = replace(why, code="not_kept", sentence=sentence)
        return outcome

    def _compare(self, pack: Any) -> None:
        """Say of a refreshed run whether its outputs are those that are stored."""
        run, plan, note = self.execution.run, self.execution.plan.cache, self.execution.cache_note
        if self._is_forced and note is not None:
            note.is_compared = True  # the surroundings are others: nothing is to be learnt
            return
        if pack is None or note is None or run.why is None or not is_refreshed(plan, note):
            return
        note.is_compared = True  # a pack's bytes may differ for equal outputs
        with suppress(Exception):  # of what the values' classes do: the run has its outputs
            run.why, note.differs = compare_with_stored(
                run.why,
                note,
                lambda stored: values_of(stored, self.before, self.namespace),
                lambda: values_of(pack, self.before, self.namespace),
            )

    async def begin(self) -> None:
        """Begin an attempt where the first one began, and record what it shows."""
        if self.execution.run.attempts > 1:
            roll_back(self.namespace, self.before)
        self.namespace.update(copies_of(self.options.own, self.before))
        self.value = None
        self.recorder.restart()
        start(self.shell, self.recorder)
        self.surroundings.files.start()

    def show(self, value: Any) -> None:
        """Show the value of an expression, as IPython shows the last one of a cell."""
        self.value = value
        self.shell.displayhook(value)

    def note(self, name: str, value: Any) -> None:
        """Remember what a class or a decorated function is like when it is new."""
        self.definitions.note(name, value)

    async def gather(self, failed: bool) -> Any:
        """Return what the cell gave, packed unless it must not be kept."""
        try:
            if not failed:
                flush_figures(self.shell)
        finally:
            close_cell(self.recorder)
            self.surroundings.files.stop()
        if failed:
            return None
        found = self.outputs.find(self.namespace)
        pack = None
        if not isinstance(self.execution.plan.cache, Reason):
            pack = await self._pack()
        self.outputs.put_back_others(self.namespace)
        return CellValue(found, self.value, pack)

    async def _pack(self) -> Any:
        """Return what is to be stored, or set the reason why nothing is."""
        try:
            self.policy.refusal = await self._refusal()
            if self.policy.refusal is not None:
                return None
            closure = self.policy.closure
            names = cellkey.global_names(closure.components if closure is not None else ())
            inputs = {name: self.before[name] for name in names if name in self.before}
            value = None if self.code.is_quiet else self.value
            pack = self.outputs.pack(self.namespace, value, inputs)
            pack["shown"] = shown = self.recorder.events()
            pack["around"] = self._around(shown, inputs)
        except Unkept as reason:
            self.policy.refusal = str(reason)
            return None
        except Exception as error:  # the cell itself is done: this must not fail it
            self.policy.refusal = f"it cannot be stored ({type(error).__name__}: {one_line(error)})"
            return None
        return pack

    async def _refusal(self) -> str | None:
        """Return in words why what the cell did must not be kept."""
        if any(x.parent is self.execution for x in list(self.execution.services.live.values())):
            return "runs that it submitted were not over when it ended"
        if not self.options.allow_effects:
            done = self.surroundings.changes()
            done += [f"the file `{one}`" for one in self.policy.written(self.before)]
            if done:
                done = list(dict.fromkeys(done))
                told = ", ".join(done[:3]) + (" and more" if len(done) > 3 else "")
                return f"it changed {told}, which a hit does not; `--allow-effects` keeps it anyway"
        closure = self.policy.closure
        if closure is None:
            return None  # nothing was looked up
        function = self.definition.fn
        look = Offload(cellkey.changes_of, function, closure, self.policy.versions)
        outcome = await aperform(look, self.execution)  # in a thread: inputs may be large
        if isinstance(outcome, Err):
            raise outcome.error
        if not outcome.value:
            return None
        changed = cellkey.changed_inputs(
            function, closure, self.before, self.namespace, self.policy.versions
        )
        return self._told(changed) if changed else None

    def _told(self, changed: list[str]) -> str:
        """Return in words that inputs were changed in place, and what helps."""
        said = " and ".join(f"`{name}`" for name in changed)
        own = [name for name in changed if name in self.code.names.reads]
        remedy = ""
        if own:
            first = own[0]
            copied = (
                f"begin the cell with `{first} = {first}.copy()` or "
                if hasattr(self.before.get(first), "copy")
                else ""
            )
            remedy = f"; {copied}say `--own {','.join(own)}`"
        return f"{said} {'was' if len(changed) == 1 else 'were'} changed in place{remedy}"

    def _around(self, shown: list[dict[str, Any]], inputs: dict[str, Any]) -> Any:
        """Return what a hit depends on besides the key; hint, once, at draws that nobody seeds."""
        closure = self.policy.closure
        values = [*inputs.values(), *self.outputs.find(self.namespace).values(), self.value]
        kept = self.surroundings.kept(
            closure.components if closure else (), shown, values, self.namespace
        )
        warned = self.execution.services.warned
        if self.surroundings.chance.only_draws and _RANDOM not in warned:
            warned[_RANDOM] = _RANDOM
            self._hint = _RANDOM
        return kept

    def close(self) -> None:
        """Let go of the notebook as it was, and of the names that carried the run."""
        super().close()
        self.before.clear()
        self.surroundings.files.stop()
        self.surroundings.forget()
        self._forget_names()

    def _forget_names(self) -> None:
        for name in (TASK_NAME, ATTEMPT_NAME):
            self.namespace.pop(name, None)

    def ended(self, value: Any) -> None:
        """Say what a user should know of the run."""
        del value
        self._forget_names()
        if this_cell().quiet:
            return
        why = self.execution.run.why
        if why is not None and self.restored is None:
            off = why.outcome == "off" and why.code not in _SELF_SAID
            if off or why.code in {"not_kept", "unreadable"}:
                self._say_why(why.sentence)
        if self._hint:
            say(self.shell, f"{self.execution.run.name}: {self._hint}")

    def _say_why(self, text: str) -> None:
        """Say in full why nothing is kept, where the board that is printed does not."""
        if ui_for(self.shell, settings.active().ui) != "text":
            say(self.shell, f"{self.execution.run.name}: {text}")

    def show_again(self) -> None:
        """Show what the recorded run showed; that it did is said by the board."""
        assert self.restored is not None
        assert self.restored.pack is not None
        has_value = self.restored.pack["has_value"]
        shown, value = self.restored.pack["shown"], self.restored.value
        ids = replay(self.shell, shown, value if has_value else Nothing)
        for name in self.restored.names if ids else ():
            one = self.namespace.get(name)
            if isinstance(one, DisplayHandle):  # it goes on with what is shown now
                old = str(getattr(one, "display_id", ""))
                one.display_id = ids.get(old, old)


def _described(names: CellNames) -> str:
    """Return what tells a cell without a name from others, also when it is edited or moved."""
    made = [name for name in names.binds if not name.startswith("_")]
    return f"of {', '.join(made)}" if made else f"with {', '.join(sorted(names.reads))}"


async def open_task(
    shell: Any,
    bodies: MutableMapping[int, list[ast.stmt]],
    line: str,
    where: Callable[[], None],
    number: int,
) -> CellTask:
    """Open the task of a `%%task` cell. Called by the first line of the transformed cell."""
    filename = where.__code__.co_filename
    show_as_written(filename, f"%%task {line}".rstrip())
    options = parse_task_line(line)
    settings.refresh()
    cell = this_cell()
    cell.quiet = cell.quiet or options.quiet
    code = Code(bodies.pop(number), filename, shell)
    check_choices(options, code.names, shell.user_ns)
    task = CellTask(options, code)
    await task.advance(None)
    if task.restored is not None:
        task.show_again()
    return task
