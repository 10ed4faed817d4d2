"""Which file systems keep files: told from tables of mounts as systems write them."""

from pathlib import Path

import pytest

from cellist.caching import mounts
from cellist.caching.mounts import file_system_of, is_network, keeps_files, network_of

TABLE = """\
sysfs /sys sysfs rw,nosuid 0 0
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/ann/fast xfs rw 0 0
//box/share /mnt/my\\040share cifs rw 0 0
ann@box:/data /mnt/data fuse.sshfs rw 0 0
/dev/sdc1 /media/usb fuseblk rw 0 0
overlay /mnt/over fuse.fuse-overlayfs rw 0 0
drivers /mnt/c 9p rw 0 0
10.0.0.1@tcp:/scratch /scratch lustre rw 0 0
old:/x /twice nfs rw 0 0
/dev/sdd1 /twice ext4 rw 0 0
half a line
"""


@pytest.mark.parametrize(
    ("path", "kind", "files"),
    [
        ("/site/results", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/ann/notebooks/.cellist/results", "nfs4", True),
        ("/home/ann/fast/.cellist", "xfs", False),
        ("/home/ann/faster", "nfs4", True),
        ("/homes/ann", "ext4", False),
        ("/mnt/my share/x", "cifs", True),
        ("/mnt/data/x", "fuse.sshfs", True),
        ("/media/usb/x", "fuseblk", False),
        ("/mnt/over/x", "fuse.fuse-overlayfs", False),
        ("/mnt/c/Users", "9p", True),
        ("/scratch/x", "lustre", True),
        ("/twice/x", "ext4", False),
        ("/tmp/x", "tmpfs", False),
        ("//box/share/x", "unc", True),
    ],
)
def test_the_longest_mount_above_a_path_counts(path: str, kind: str, files: bool) -> None:
    assert file_system_of(Path(path), TABLE) == kind
    assert is_network(kind) == files


@pytest.mark.parametrize("kind", ["nfs", "NFS4", "smb3", "ceph", "fuse.s3fs", "fuse.glusterfs"])
def test_network_file_systems(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["", "ext4", "btrfs", "overlay", "apfs", "virtiofs", "fuseblk"])
def test_local_file_systems(kind: str) -> None:
    assert not is_network(kind)


def test_a_directory_that_is_yet_to_be_made_and_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, table = tmp_path / "share", tmp_path / "mounts"
    share.mkdir()
    (tmp_path / "link").symlink_to(share)
    table.write_text(f"x / ext4 rw 0 0\nserver:/x {share} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "TABLE", table)
    assert network_of(share / "not" / "yet") == "nfs4"
    assert network_of(tmp_path / "link" / "x") == "nfs4", "links are followed"
    assert network_of(tmp_path / "elsewhere") == ""
    assert keeps_files(share, "auto")
    assert not keeps_files(share, "index"), "a choice overrules"
    assert keeps_files(tmp_path, "files")
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "nothing")
    assert not keeps_files(share, "auto"), "where nothing is known, an index"
