"""The envelope: whole and ours, or not used at all."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.caching import envelope
from cellist.caching.envelope import BadEntry, inline_parts, open_head, padded, seal
from cellist.caching.signing import Signer

OURS = Signer(b"a" * 32)
THEIRS = Signer(b"b" * 32)
HEADER: Any = {"task": "fit", "task_key": "notebook.fit", "seconds": 1.5, "created": 12.0}


def made(parts=(b"payload", b"", b"x" * 200), key="k", signer=OURS):
    parts = list(parts)
    return seal(signer, key, HEADER, "pickle", {"m": 1}, parts) + b"".join(padded(parts))


def read(blob, key="k", signer=OURS):
    sealed = open_head(blob, key, signer)
    return sealed, inline_parts(blob, sealed)


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_was_sealed_comes_back(parts):
    sealed, back = read(made(parts))
    assert [bytes(part) for part in back] == parts
    assert (sealed.format, sealed.meta) == ("pickle", {"m": 1})
    header: Any = sealed.header
    assert header["seconds"] == 1.5
    assert header["key"] == "k"
    assert header["format"] == "pickle"


def test_parts_are_aligned_for_arrays():
    parts = [b"abc", b"d" * 65, b"e"]
    blob = made(parts)
    sealed = open_head(blob, "k", OURS)
    assert sealed.start % 64 == 0
    assert blob.index(b"d" * 65) % 64 == 0
    assert len(blob) == sealed.size


def test_no_single_flipped_byte_goes_unnoticed():
    blob = made([b"some payload", b"more"])
    original = [b"some payload", b"more"]
    unnoticed = []
    for position in range(len(blob)):
        damaged = bytearray(blob)
        damaged[position] ^= 0x40
        try:
            _, parts = read(bytes(damaged))
        except BadEntry:
            continue
        assert [bytes(part) for part in parts] == original, f"a wrong value at {position}"
        unnoticed.append(position)
    start = open_head(blob, "k", OURS).start
    assert all(start - 64 < position < start for position in unnoticed)  # padding of the head


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_entry_is_refused(share):
    blob = made()
    with pytest.raises(BadEntry) as caught:
        read(blob[: int(len(blob) * share)])
    assert caught.value.code == "unreadable"


def test_an_entry_of_zeros_is_refused():
    with pytest.raises(BadEntry):
        read(bytes(len(made())))


def test_an_entry_of_another_key_is_refused():
    with pytest.raises(BadEntry, match="another key"):
        read(made(key="other"))


def test_an_entry_signed_by_somebody_else_is_foreign():
    with pytest.raises(BadEntry) as caught:
        read(made(signer=THEIRS))
    assert caught.value.code == "foreign"


def test_claiming_to_be_the_signer_does_not_help():
    blob = bytearray(made(signer=THEIRS))
    blob[8:16] = OURS.id
    with pytest.raises(BadEntry) as caught:
        read(bytes(blob))
    assert caught.value.code == "unreadable"


def test_nothing_of_the_record_is_parsed_before_its_signature_was_checked(monkeypatch):
    blob = bytearray(made(signer=THEIRS))
    blob[8:16] = OURS.id

    def parse(text):
        raise AssertionError("parsed")

    monkeypatch.setattr(envelope, "parse_json", parse)
    with pytest.raises(BadEntry):
        open_head(bytes(blob), "k", OURS)


def test_an_absurd_length_is_refused_without_reading_it():
    blob = made()
    blob = blob[:16] + (2**32 - 1).to_bytes(4, "little") + blob[20:]
    with pytest.raises(BadEntry, match="no sense"):
        open_head(blob, "k", OURS)
    with pytest.raises(BadEntry, match="no sense"):
        envelope.read_head(io.BytesIO(blob))


def test_swapping_payloads_of_two_entries_is_noticed():
    first, second = made([b"a" * 64]), made([b"b" * 64])
    start = open_head(first, "k", OURS).start
    with pytest.raises(BadEntry, match="content"):
        read(first[:start] + second[start:])


def test_a_file_gives_private_writable_memory(tmp_path):
    parts = [b"abc" * 1000, b"y" * 3_000_000]
    path = tmp_path / "entry"
    path.write_bytes(made(parts))
    with path.open("rb", buffering=0) as file:
        sealed = open_head(envelope.read_head(file), "k", OURS)
        back = envelope.file_parts(file, sealed)
    assert [bytes(part) for part in back] == parts
    assert not memoryview(back[1]).readonly
    path.write_bytes(b"overwritten")
    assert bytes(back[1]) == parts[1]


def test_a_header_with_odd_values_is_stored_as_text():
    blob = seal(OURS, "k", {"user": {"path": object}}, "json", None, [])
    assert "object" in json.dumps(open_head(blob, "k", OURS).header)
