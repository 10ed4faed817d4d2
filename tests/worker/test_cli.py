"""The command line: what it says of a wrong command."""

from pathlib import Path

import pytest

from cellist.cli import main

MODULE = """
from cellist import task

@task
def count(x):
    return x

@task
def fetch(x):
    return x

other = 3
"""


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("cuont", "there is no 'cuont' in '{}'. Did you mean 'count'? Tasks there: count, fetch."),
        ("zebra", "there is no 'zebra' in '{}'. Tasks there: count, fetch."),
        ("other", "it is no task: 'other' in '{}'. Tasks there: count, fetch."),
    ],
)
def test_a_name_that_is_no_task(tmp_path: Path, capsys, target: str, says: str) -> None:
    file = tmp_path / "served_by_cli.py"
    file.write_text(MODULE)
    assert main(["serve", f"{file}:{target}"]) == 2
    assert says.format(file) in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["x", "0", "1.5"])
def test_a_limit_that_is_none(capsys, limit: str) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--limit", limit, "served.py:count"])
    assert f"whole number >= 1, or `none`, got '{limit}'" in capsys.readouterr().err
