"""The name of this machine."""

import os
import socket

from cellist.model.host import host_name


def test_it_is_what_the_socket_module_says(monkeypatch):
    assert host_name() == socket.gethostname()
    monkeypatch.delattr(os, "uname")
    assert host_name() == socket.gethostname()
