"""What stands around the code: finding a Python, getting Chromium, the checks of files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def machine(tmp_path):
    """A machine with nothing on its PATH but the programs it is given, as shell scripts."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(command, has):
        for name, body in has.items():
            (programs / name).write_text(f"#!/bin/sh\n{body}\n")
            (programs / name).chmod(0o755)
        environment = {"PATH": str(programs), "HOME": str(tmp_path)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


GOOD = f'exec "{sys.executable}" "$@"'
OLD = "exit 1"
FIND = ["/bin/sh", str(ROOT / ".ci" / "find-python")]


@pytest.mark.parametrize(
    ("has", "chosen"),
    [
        ({"python3": GOOD, "python3.12": GOOD}, "python3"),
        ({"python3": OLD, "python3.12": GOOD}, "python3.12"),
        ({"python3": OLD, "python3.11": GOOD, "python3.14": GOOD}, "python3.14"),
        ({"python": GOOD}, "python"),
    ],
)
def test_finds_a_python_that_will_do(machine, tmp_path, has, chosen):
    done = machine(FIND, has)
    assert done.stdout.strip() == str(tmp_path / "bin" / chosen), done.stderr


def test_says_what_to_do_without_a_python(machine):
    done = machine(
        FIND, {"python3": 'case "$*" in *print*) echo "Python 3.9" ;; *) exit 1 ;; esac'}
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "needs Python 3.11 or newer" in done.stderr
    assert "python3: Python 3.9" in done.stderr
    assert "make PYTHON=" in done.stderr


CHROMIUM = [sys.executable, str(ROOT / "tests" / "chromium.py")]
SUDO = {"sudo": 'shift; "$@"'}
INSTALLS = """
case "$1" in update) exit 100; esac
case "$1" in install)
  echo '#!/bin/sh' > "$HOME/bin/chromium"
  /bin/chmod +x "$HOME/bin/chromium"
esac
"""


def test_installs_chromium_where_it_may(machine, tmp_path):
    done = machine(CHROMIUM, {**SUDO, "apt-get": INSTALLS})
    assert done.returncode == 0
    assert (tmp_path / "bin" / "chromium").exists()
    assert done.stderr == ""


def test_leaves_a_chromium_that_is_there(machine, tmp_path):
    has = {**SUDO, "chromium": "exit 0", "apt-get": 'echo called > "$HOME/called"'}
    done = machine(CHROMIUM, has)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("has", "reason"),
    [
        ({}, "none of apt-get, dnf, apk, brew is here to install it"),
        ({**SUDO, "apt-get": "exit 100"}, "chromium fonts-dejavu-core` failed"),
        ({**SUDO, "apt-get": "exit 0"}, "apt-get installed it, but it does not start"),
    ],
)
def test_goes_on_without_chromium_and_says_why(machine, has, reason):
    done = machine(CHROMIUM, has)
    assert done.returncode == 0, "the other tests must still run"
    assert f"{reason}.\n" in done.stderr


def code_cell(count, *outputs, tags=()):
    return {
        "cell_type": "code",
        "source": "1",
        "execution_count": count,
        "metadata": {"tags": list(tags)},
        "outputs": list(outputs),
    }


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}
HOME = {"output_type": "stream", "name": "stdout", "text": "/home" + "/ada/data"}


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([code_cell(1), code_cell(2)], None),
        ([code_cell(1), code_cell(3)], "was not run once from top to bottom"),
        ([code_cell(None)], "was not run once from top to bottom"),
        ([code_cell(1, ERROR)], "shows an error in cell 1: ValueError"),
        ([code_cell(1, ERROR, tags=["raises-exception"])], None),
        ([code_cell(1, HOME)], "a path of the machine"),
    ],
)
def test_notebooks_are_committed_executed_and_clean(tmp_path, cells, fault):
    notebook = tmp_path / "some.ipynb"
    notebook.write_text(json.dumps({"cells": cells}) + "\n")
    assert_fault(notebook, fault)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", None),
        (b"text\n", None),
        (b"text", "one line break"),
        (b"text\n\n", "one line break"),
        (b"text\r\n", "carriage returns"),
        (b"x" * 1_000_000 + b"\n", "1,000,001 bytes"),
    ],
)
def test_files_end_well_and_are_small(tmp_path, content, fault):
    file = tmp_path / "file.txt"
    file.write_bytes(content)
    assert_fault(file, fault)


def assert_fault(path, fault):
    command = [sys.executable, str(ROOT / ".ci" / "check_files.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == (0 if fault is None else 1), done.stderr
    assert done.stdout == "" if fault is None else fault in done.stdout
