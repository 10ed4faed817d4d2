"""The name of this machine."""

import os


def host_name() -> str:
    """Return what `socket.gethostname()` does, without importing it where there is another way."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket  # late: it takes a fiftieth of the time to import cellist

    return socket.gethostname()
