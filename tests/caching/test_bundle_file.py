"""The file of a bundle: the same bytes for the same results, and nothing believed of a bad one."""

import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellist.caching.bundle_file import BundleFile, write
from cellist.caching.formats import Encoded, decode, encode
from cellist.exceptions import BundleError
from tests.bundles import (
    MINE,
    THEIRS,
    bundle_of,
    digest_of,
    header,
    lie,
    manifest_of,
    members_of,
    zipped,
)

VALUES = {
    "b": np.arange(1000.0),
    "a": {"n": [1, 2]},
    "c": {1, 2},
    "d": "text " * 10_000,
    "e": np.random.default_rng(1).bytes(50_000),
    "same": {"n": [1, 2]},
    "large": [np.zeros(100_000), np.ones(100_000)],
}


@pytest.fixture
def path(tmp_path):
    return bundle_of(tmp_path / "analysis.cellist", VALUES)


def values_of(file):
    return {
        key: decode(line.format, line.meta, file.parts(line), private=False)
        for key, line in file.lines.items()
    }


def test_what_is_written_is_read(path):
    file = BundleFile(path, MINE)
    found = values_of(file)
    assert list(found) == sorted(VALUES)
    for key, value in VALUES.items():
        np.testing.assert_equal(found[key], value)
    line = file.lines["a"]
    assert (line.task, line.seconds, line.header.get("task_key")) == ("fit", 12.0, "notebook.fit")
    assert file.needing_trust == 2
    assert file.digest == digest_of(path)


def test_the_layout_of_the_file(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
    lines = manifest_of(members_of(path))
    assert names[:2] == ["manifest.jsonl", "signature"]
    assert names[2:] == sorted({"blobs/" + line["digest"] for line in lines})
    assert len(names) == 2 + len(VALUES) - 1, "equal results share a blob"
    kind = {line["key"]: kinds["blobs/" + line["digest"]] for line in lines}
    assert kind["d"] == zipfile.ZIP_DEFLATED
    assert kind["e"] == zipfile.ZIP_STORED, "what deflates badly is stored"


def test_the_same_results_give_the_same_bytes(path, tmp_path):
    turned = dict(reversed(VALUES.items()))
    again = bundle_of(tmp_path / "again.cellist", turned)
    assert again.read_bytes() == path.read_bytes()
    other = bundle_of(tmp_path / "other.cellist", VALUES, MINE)
    assert digest_of(other) == digest_of(path), "whoever signs it"


def test_whose_it_is(path, tmp_path):
    assert not BundleFile(path, MINE).is_own
    assert BundleFile(path, THEIRS).is_own
    members = members_of(path)
    unsigned = {name: data for name, data in members.items() if name != "signature"}
    path.write_bytes(zipped(unsigned))
    assert not BundleFile(path, THEIRS).is_own
    one = members["manifest.jsonl"].replace(b'"seconds":12.0', b'"seconds":13.0', 1)
    path.write_bytes(zipped({**members, "manifest.jsonl": one}))
    assert not BundleFile(path, THEIRS).is_own, "the signature is of another manifest"


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(BundleError, match=r"no result to write to `x\.cellist`"):
        write(tmp_path / "x.cellist", ["gone"], lambda key: None, MINE)
    assert list(tmp_path.iterdir()) == []


def test_a_result_replaced_meanwhile_is_an_error_and_leaves_the_file_as_it_was(tmp_path):
    path = bundle_of(tmp_path / "x.cellist", {"k": 1})
    before, turns = path.read_bytes(), iter([1, 2])
    with pytest.raises(BundleError, match="`fit` was replaced; try again"):
        write(path, ["k"], lambda key: (header(key), encode(next(turns))), MINE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# -- files that are damaged or made to do harm --


def changed(**said):
    return lambda lines: lines[0].update(said)


LIES = {
    "a size that is not that of its parts": changed(size=10**12),
    "parts that are negative": changed(parts=[-64], size=-64),
    "parts that are no numbers": changed(parts=["64"]),
    "a digest that is a path": changed(digest="../../../etc/passwd"),
    "a time beyond all dates": changed(created=1e300),
    "a time that is none": changed(created=float("nan")),
    "a key that is no text": changed(key=7),
    "a field too many": changed(more=1),
    "a field too few": lambda lines: lines[0].pop("format"),
    "a header that is a list": changed(header=[1]),
    "a result twice": lambda lines: lines.append(lines[0]),
    "a line that is no object": lambda lines: lines.append([1]),
}


@pytest.mark.parametrize("change", LIES.values(), ids=LIES)
def test_a_manifest_that_lies(path, change):
    lie(path, change)
    with pytest.raises(BundleError):
        BundleFile(path, MINE)


def test_members_of_other_names_are_never_looked_at(path, tmp_path):
    members = members_of(path)
    path.write_bytes(zipped({**members, "../evil": b"x", "/tmp/evil": b"x", "blobs/../up": b"x"}))
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_equal(values_of(BundleFile(path, MINE)), VALUES)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_twice(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("manifest.jsonl", b"")
    with pytest.raises(BundleError, match=r"two members `manifest\.jsonl`"):
        BundleFile(path, MINE)


def test_a_bomb_is_not_unpacked(path):
    members = members_of(path)
    path.write_bytes(zipped({**members, "manifest.jsonl": b" " * 2**27}, deflated=True))
    assert path.stat().st_size < 2**18
    with pytest.raises(BundleError, match="makes no sense"):
        BundleFile(path, MINE)


def test_an_own_bundle_of_nothing_but_zeros_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("cellist.caching.bundle_file._ALWAYS", 2**16)
    monkeypatch.setattr("cellist.caching.bundle_file._MOST_TIMES", 20)
    value = np.zeros(2**18)
    path = bundle_of(tmp_path / "zeros.cellist", {"k": value})
    np.testing.assert_equal(values_of(BundleFile(path, MINE))["k"], value)


@pytest.mark.parametrize("declared", [2**31, 2**32 - 2])
def test_a_size_in_the_directory_that_the_file_does_not_have(path, declared):
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    struct.pack_into("<II", data, entry + 20, declared, declared)
    path.write_bytes(data)
    with pytest.raises(BundleError):
        BundleFile(path, MINE)


def test_a_blob_that_is_not_what_the_manifest_says(path):
    members = members_of(path)
    line = next(line for line in manifest_of(members) if line["key"] == "b")
    name = "blobs/" + line["digest"]
    flipped = bytes([members[name][0] ^ 1]) + members[name][1:]
    for content in (flipped, members[name][:-1], b"", members[name] + b"\0"):
        path.write_bytes(zipped({**members, name: content}))
        file = BundleFile(path, MINE)
        with pytest.raises(BundleError, match="damaged or altered"):
            file.parts(file.lines["b"])
    del members[name]
    path.write_bytes(zipped(members))
    file = BundleFile(path, MINE)
    with pytest.raises(BundleError, match="missing"):
        file.parts(file.lines["b"])


SMALL = {"a": {"n": [1, 2]}, "b": np.arange(4), "c": {1}, "d": Encoded("bytes", None, [b""])}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_no_damage_gives_anything_but_the_values_or_an_error(tmp_path, data):
    path = bundle_of(tmp_path / "small.cellist", SMALL)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    path.write_bytes(raw)
    whole = {key: encode(value) if key != "d" else value for key, value in SMALL.items()}
    try:
        file = BundleFile(path, MINE)
    except BundleError:
        return
    for key, line in file.lines.items():
        try:
            parts = file.parts(line)
        except (BundleError, OSError):
            continue
        if key in whole:
            said = [line.format, line.meta, [bytes(part) for part in parts]]
            one = whole[key]
            is_same = said == [one.format, one.meta, [bytes(part) for part in one.parts]]
            assert is_same or file.digest != digest_as_written(tmp_path), "trust would be gone"


def digest_as_written(tmp_path):
    return digest_of(bundle_of(tmp_path / "whole.cellist", SMALL))
