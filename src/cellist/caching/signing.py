"""The per-user secret, and the signature that says "this user wrote this entry".

Unpickling runs code, so bytes are unpickled only if their head carries a signature made with a
secret that never lies beside the results: whoever can write to a project's `.cellist/` (a
colleague, a cloned repository, an unpacked archive) still cannot make this user's kernel run
anything. The secret is 32 random bytes in a file of mode 0600 (see `model.locations`).
"""

import hmac
import os
import secrets
import tempfile
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cellist.model.locations import secret_directory

SECRET_SIZE = 32
MAC_SIZE = 32
ID_SIZE = 8
_FILE = "secret"
_BLOCK = 64  # bytes that SHA-256 takes at a time


class Signer:
    """Signs and checks bytes with keys derived from one secret.

    Signatures are HMAC-SHA-256, with both hashes of the key made once: that is the dearer half.
    """

    __slots__ = ("_inner", "_outer", "id")

    def __init__(self, secret: bytes) -> None:
        key = hmac.digest(secret, b"cellist: result entries, version 1", "sha256")
        block = key.ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))
        self.id = hmac.digest(secret, b"cellist: name of the signer", "sha256")[:ID_SIZE]
        """Eight bytes that tell signers apart and say nothing about the secret."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature of the data, 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether the signature of the data was made with the same secret."""
        return hmac.compare_digest(self.sign(data), signature)


def user_signer(directory: Path | None = None) -> tuple[Signer, str | None]:
    """Return the signer of this user and, if the secret cannot be kept, a sentence saying so.

    Without a kept secret, results of this process can be read by this process only.
    """
    try:
        return Signer(_load_or_create(directory or secret_directory())), None
    except (OSError, RuntimeError) as error:
        sentence = (
            f"The secret that signs cached results cannot be kept ({error}); results of this "
            "session will not be reused by the next one. Set CELLIST_SECRET_DIR to a private, "
            "writable directory before the kernel starts."
        )
        return Signer(secrets.token_bytes(SECRET_SIZE)), sentence


def _load_or_create(directory: Path) -> bytes:
    path = directory / _FILE
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _create(path)
    return _load(path)


def _load(path: Path) -> bytes:
    """Read the secret; wait a moment for a process that is just creating it."""
    for _ in range(20):
        secret = path.read_bytes()
        if len(secret) == SECRET_SIZE:
            _keep_private(path)
            return secret
        time.sleep(0.02)
    message = f"{path} is damaged: delete it, and earlier results will be computed again"
    raise OSError(message)


def _keep_private(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _create(path: Path) -> None:
    """Create the secret so that of two processes doing it at once, both use the first one's."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SECRET_SIZE))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            try:
                os.link(temporary, path)  # unlike a rename, fails if the name is taken
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                _create_exclusively(path, Path(temporary).read_bytes())
    finally:
        Path(temporary).unlink(missing_ok=True)


def _create_exclusively(path: Path, secret: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
