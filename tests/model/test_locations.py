"""Where `.cellist/` is found, and what it is made like."""

import os
import stat

import pytest

from cellist.model import locations


@pytest.fixture
def no_override(monkeypatch):
    monkeypatch.delenv("CELLIST_HOME")


@pytest.mark.usefixtures("no_override")
def test_it_is_found_upward_like_git(tmp_path):
    (tmp_path / ".cellist").mkdir()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert locations.home(deep) == tmp_path / ".cellist"


@pytest.mark.usefixtures("no_override")
def test_otherwise_it_is_beside_the_notebook_and_not_made_by_looking(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locations.home() == tmp_path / ".cellist"
    assert not (tmp_path / ".cellist").exists()


@pytest.mark.usefixtures("no_override")
def test_a_directory_of_somebody_else_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / ".cellist").mkdir()
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / ".cellist").stat().st_uid + 1)
    assert locations.home(inner) == inner / ".cellist"


@pytest.mark.usefixtures("no_override")
def test_a_file_of_that_name_is_no_home(tmp_path):
    (tmp_path / ".cellist").write_text("")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert locations.home(inner) == inner / ".cellist"


def test_the_environment_overrules(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_HOME", str(tmp_path / "else"))
    assert locations.home(tmp_path) == tmp_path / "else"
    monkeypatch.setenv("CELLIST_HOME", "")
    assert locations.home(tmp_path) == tmp_path / ".cellist"


@pytest.mark.usefixtures("no_override")
def test_a_deleted_working_directory_is_survived(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert locations.home().name == ".cellist"


def test_it_is_private_and_never_committed(tmp_path):
    made = locations.ensure(tmp_path / "x" / ".cellist")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert (made / ".gitignore").read_text() == "*\n"


def test_an_existing_directory_keeps_its_own_gitignore(tmp_path):
    (tmp_path / ".gitignore").write_text("mine\n")
    locations.ensure(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_the_secret_lies_outside_the_project(tmp_path, monkeypatch):
    monkeypatch.delenv("CELLIST_SECRET_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(locations.sys, "platform", "linux")
    assert locations.secret_directory() == tmp_path / "data" / "cellist"
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "s"))
    assert locations.secret_directory() == tmp_path / "s"
