"""The per-user secret: private, kept, and one only."""

import stat
import subprocess
import sys

import pytest

from cellist.caching import signing
from cellist.caching.signing import Signer, user_signer

MAKE = """
import sys
from cellist.caching.signing import user_signer
signer, trouble = user_signer()
sys.stdout.write(signer.id.hex() + (trouble or ""))
"""


def test_the_secret_is_kept_and_private(tmp_path):
    first, trouble = user_signer(tmp_path / "deep" / "er")
    again, _ = user_signer(tmp_path / "deep" / "er")
    assert trouble is None
    assert first.sign(b"x") == again.sign(b"x")
    path = tmp_path / "deep" / "er" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_a_secret_others_can_read_is_made_private(tmp_path):
    user_signer(tmp_path)
    (tmp_path / "secret").chmod(0o644)
    user_signer(tmp_path)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_secret():
    processes = [
        subprocess.Popen([sys.executable, "-c", MAKE], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    ids = {process.communicate(timeout=60)[0] for process in processes}
    assert len(ids) == 1
    assert len(ids.pop()) == 16


def test_a_file_system_without_links_works_too(tmp_path, monkeypatch):
    def no_links(*args):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(signing.os, "link", no_links)
    first, trouble = user_signer(tmp_path)
    assert trouble is None
    assert user_signer(tmp_path)[0].id == first.id


def test_a_secret_that_cannot_be_kept_is_said_and_lasts_for_the_session(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    first, trouble = user_signer(blocked / "cellist")
    second, _ = user_signer(blocked / "cellist")
    assert "CELLIST_SECRET_DIR" in str(trouble)
    assert first.id != second.id


def test_a_damaged_secret_is_not_silently_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(signing.time, "sleep", lambda seconds: None)
    (tmp_path / "secret").write_bytes(b"short")
    _, trouble = user_signer(tmp_path)
    assert "damaged" in str(trouble)
    assert (tmp_path / "secret").read_bytes() == b"short"


@pytest.mark.parametrize("other", [b"y", b"xx", b""])
def test_signatures_fit_one_text_only(other):
    signer = Signer(b"s" * 32)
    assert signer.verify(b"x", signer.sign(b"x"))
    assert not signer.verify(other, signer.sign(b"x"))
    assert not Signer(b"t" * 32).verify(b"x", signer.sign(b"x"))
