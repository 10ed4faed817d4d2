"""The envelope: whole and ours, or not used at all."""

import io
import json
from typing import Any

import pytest
from blake3 import blake3
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


def former(parts, header, signer=OURS):
    """Return an entry as earlier versions wrote it: its record is one JSON object."""
    pieces = padded(list(parts))
    record = {
        "key": "k",
        "header": header,
        "format": "pickle",
        "meta": {"m": 1},
        "parts": [len(part) for part in parts],
        "digest": blake3(b"".join(pieces)).hexdigest(),
    }
    body = json.dumps(record).encode()
    head = b"cellist\x01" + signer.id + len(body).to_bytes(4, "little") + body
    head += signer.sign(head)
    return head + bytes(-len(head) % 64) + b"".join(pieces)


def test_entries_of_earlier_versions_are_read():
    blob = former([b"payload", b"more"], {"seconds": 1.5, "expires": None, "components": [["a"]]})
    sealed, back = read(blob)
    assert back == [b"payload", b"more"]
    assert (sealed.format, sealed.meta, sealed.size) == ("pickle", {"m": 1}, len(blob))
    assert sealed.header.get("components") == [["a"]]
    assert sealed.header.get("key") == "k"
    with pytest.raises(BadEntry, match="another key"):
        open_head(blob, "other", OURS)
    with pytest.raises(BadEntry, match="signature"):
        read(former([b"payload"], {}, THEIRS).replace(THEIRS.id, OURS.id, 1))
    with pytest.raises(BadEntry, match="content"):
        read(blob.replace(b"more", b"less"))


def test_a_new_entry_does_not_pass_for_one_of_an_earlier_version():
    with pytest.raises(BadEntry, match="signature"):
        read(made().replace(b"cellist\x02", b"cellist\x01", 1))


def test_a_hit_does_without_the_rest_of_the_header(monkeypatch):
    known: Any = {
        "created": 3.5,
        "seconds": 1.5,
        "preview": "[1]",
        "task": "fit",
        "components": [["source", "fit", "cd", "def fit(n): ..."]],
    }
    blob = seal(OURS, "k", known, "json", None, [b"1"])
    header: Any = open_head(blob, "k", OURS).header
    with monkeypatch.context() as patch:
        patch.setattr(envelope, "parse_json", None)
        assert (header["created"], header["seconds"], header["preview"]) == (3.5, 1.5, "[1]")
        assert (header["key"], header["format"]) == ("k", "json")
        assert header.get("expires") is None
        assert header.get("bundle", "none") == "none"
        assert "hints" not in header
        with pytest.raises(KeyError):
            header["differs"]
    assert header["task"] == "fit"
    assert "nothing" not in header
    assert dict(header) == {**known, "key": "k", "format": "json"} == {**header}
    assert len(header) == 7


def test_a_key_of_any_text_is_told_from_others():
    key = "größe \ud800\n"
    blob = seal(OURS, key, {}, "json", None, [])
    assert open_head(blob, key, OURS).header.get("key") == key
    with pytest.raises(BadEntry, match="another key"):
        open_head(blob, "größe", OURS)


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

    def parse(*_):
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
    assert "object" in json.dumps(dict(open_head(blob, "k", OURS).header))
