"""Digests of files: by content alone, read again only when they may have changed."""

import os
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.caching import contents
from cellist.caching.contents import file_digest, folder_digests

LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture
def reads(monkeypatch):
    """Every path that was read."""
    found = []
    read = contents._read

    def counted(path):
        found.append(str(path))
        return read(path)

    monkeypatch.setattr(contents, "_read", counted)
    return found


def test_a_settled_file_is_read_once(tmp_path, reads):
    file = tmp_path / "a"
    file.write_bytes(b"1")
    os.utime(file, LONG_AGO)
    assert file_digest(file) == file_digest(str(file))
    assert len(reads) == 1


@pytest.mark.parametrize(("age", "times"), [(0.0, 2), (1.9, 2), (2.1, 1), (-60.0, 2)])
def test_a_file_written_a_moment_ago_is_read_each_time(tmp_path, reads, monkeypatch, age, times):
    file = tmp_path / "a"
    file.write_bytes(b"1")
    written = file.stat().st_mtime
    monkeypatch.setattr(time, "time", lambda: written + age)
    file_digest(file)
    file_digest(file)
    assert len(reads) == times


def test_a_change_of_the_same_length_within_the_grain_of_the_clock_is_seen(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"1")
    now = time.time_ns()
    os.utime(file, ns=(now, now))
    before = file_digest(file)
    file.write_bytes(b"2")
    os.utime(file, ns=(now, now))
    assert file_digest(file) != before


def test_a_change_is_seen_though_length_and_time_are_set_back(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"1")
    os.utime(file, LONG_AGO)
    before = file_digest(file)
    file.write_bytes(b"2")
    os.utime(file, LONG_AGO)
    assert file_digest(file) != before


def test_what_is_written_while_it_is_read_is_not_kept_in_mind(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    os.utime(file, LONG_AGO)
    read = contents._read

    def interrupted(path):
        found = read(path)
        file.write_bytes(b"newer")
        os.utime(file, LONG_AGO)
        return found

    monkeypatch.setattr(contents, "_read", interrupted)
    before = file_digest(file)
    monkeypatch.setattr(contents, "_read", read)
    file.write_bytes(b"old")
    assert file_digest(file) == before
    file.write_bytes(b"newer")
    assert file_digest(file) != before


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=2), st.integers(0, 4))
def test_same_content_same_digest(tmp_path_factory, held, pieces):
    place = tmp_path_factory.mktemp("files")
    padding = b"x" * (pieces * contents._PIECE // 2)
    for name, content in zip("ab", held, strict=True):
        (place / name).write_bytes(padding + content)
    same = file_digest(place / "a") == file_digest(place / "b")
    assert same == (held[0] == held[1])


def test_memory_of_digests_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_MOST", 3)
    monkeypatch.setattr(contents, "_known", {})
    for number in range(8):
        file = tmp_path / str(number)
        file.write_bytes(b"")
        os.utime(file, LONG_AGO)
        file_digest(file)
        assert len(contents._known) <= 3


def test_what_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        file_digest(tmp_path)
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as server:
        path = os.path.relpath(tmp_path / "s")  # the name of a socket must be short
        server.bind(path)
        with pytest.raises(OSError, match="no regular file"):
            file_digest(path)


def test_folders(tmp_path):
    (tmp_path / "d" / "deep").mkdir(parents=True)
    for name in ("b.csv", "a.txt", "deep/c.csv", ".hidden"):
        (tmp_path / "d" / name).write_text(name)
    (tmp_path / "d" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d" / "linked").symlink_to(tmp_path / "d" / "b.csv")
    found = folder_digests(tmp_path / "d", "**/*")
    assert list(found) == [".hidden", "a.txt", "b.csv", "deep/c.csv", "linked"]
    assert found["linked"] == found["b.csv"]
    assert list(folder_digests(tmp_path / "d", "*.csv")) == ["b.csv"]
    with pytest.raises(NotADirectoryError):
        folder_digests(tmp_path / "d" / "b.csv", "*")
