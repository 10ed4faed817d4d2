"""Which file system a directory lies on, and whether SQLite may be trusted with it.

SQLite needs locks that work and, in WAL mode, memory that all its users share; network file
systems give neither reliably, and a damaged index is what follows. There each result is a file.
"""

import re
from pathlib import Path

AUTO, INDEX, FILES = "auto", "index", "files"
"""How results are kept: as the file system allows, in an index, or each in a file of its own."""

TABLE = Path("/proc/self/mounts")
"""Where the system tells what is mounted; elsewhere nothing is known."""

_NETWORK = {
    *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "gfs", "gfs2"),
    *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs"),
    *("prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "unc", "vboxsf", "vmhgfs", "wekafs"),
}
_LOCAL_FUSE = {  # file systems of this machine that happen to be served by a program
    *("fuse.bindfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.lxcfs"),
    *("fuse.mergerfs", "fuse.ntfs", "fuse.ntfs-3g", "fuse.overlayfs", "fuse.unionfs"),
    *("fuse.cryfs", "fuse.exfat", "fuse.zfs"),
}
_ESCAPED = r"\\([0-7]{3})"


def file_system_of(path: Path, table: str) -> str:
    """Return the type of the file system that holds an absolute path, empty if nothing tells.

    `table` has the form of `/proc/mounts`. The mount with the longest name above the path counts,
    of several in one place the last.
    """
    if str(path).startswith(("\\\\", "//")):
        return "unc"
    found, depth = "", -1
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = re.sub(_ESCAPED, lambda octal: chr(int(octal[1], 8)), fields[1])
        parts = len(Path(point).parts)
        if parts >= depth and path.is_relative_to(point):
            found, depth = fields[2], parts
    return found


def is_network(kind: str) -> bool:
    """Whether files of this type of file system are served by another machine, or may be."""
    kind = kind.lower()
    return kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def network_of(directory: Path) -> str:
    """Return the type of the network file system a directory lies on, empty if it does not.

    The directory need not exist. Empty, too, where the system does not tell.
    """
    path = _real(directory)
    try:
        table = TABLE.read_text("utf-8", "surrogateescape")
    except OSError:
        table = ""
    kind = file_system_of(path, table)
    return kind if is_network(kind) else ""


def keeps_files(directory: Path, choice: str) -> bool:
    """Whether a directory is used without SQLite; `choice` is `auto`, `index` or `files`."""
    return choice == FILES or (choice == AUTO and bool(network_of(directory)))


def _real(directory: Path) -> Path:
    try:
        return directory.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return directory.absolute()
