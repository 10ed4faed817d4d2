"""A cell whose run is cut off between two steps of ours leaves nothing behind."""

import signal
from pathlib import Path
from typing import Any

import pytest

from cellist.notebook.cellrun import CellRun
from tests.shells import shell


@pytest.mark.parametrize("magic", ["flow", "task"])
@pytest.mark.parametrize("where", ["__aiter__", "__anext__"])
def test_an_interrupt_between_our_steps_leaves_nothing_behind(
    magic: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with shell(tmp_path) as one:
        with monkeypatch.context() as patch:
            patch.setattr(CellRun, where, interrupted)
            ran = one.run(f"%%{magic} cut\nx = 1\nx")
        assert isinstance(ran.error, KeyboardInterrupt)
        assert ran.state in ("Cancelled", "Crashed")
        assert signal.getsignal(signal.SIGINT) is before
        after = one.run(f"%%{magic} whole\nx = 2\nx")
        assert after.result == 2
        assert after.state == "Completed"
