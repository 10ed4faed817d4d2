"""What counts of data that code reaches when some part of it has no digest."""

import threading
from typing import Any

from cellist.caching.digests import Digester
from cellist.caching.values import signature_of


class Peer:
    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.lock = threading.Lock()
        self.peers: list[Any] = []


def _shallow(thing: Any) -> tuple[bytes, bool]:
    return str(thing.__qualname__).encode(), True


def _mesh(size: int, number: int = 0) -> list[Peer]:
    peers = [Peer(number if i == size - 1 else 0) for i in range(size)]
    for peer in peers:
        peer.peers = peers
    return peers


def _layers(bottom: Any, width: int, depth: int) -> Any:
    found = bottom
    for _ in range(depth):
        found = [found] * width
    return found


def test_a_mesh_of_objects_with_locks_is_told_by_its_other_parts() -> None:
    found = signature_of(_mesh(12), "peers", _shallow)

    assert found.digest == signature_of(_mesh(12), "peers", _shallow).digest
    assert found.digest != signature_of(_mesh(12, number=1), "peers", _shallow).digest


def test_each_culprit_is_named_once_by_its_shortest_path() -> None:
    found = signature_of(_mesh(12), "peers", _shallow)

    assert sorted(found.untracked) == sorted(f"peers[{i}].lock" for i in range(12))


def test_each_object_is_looked_at_a_few_times_whatever_leads_to_it(monkeypatch: Any) -> None:
    looks: list[object] = []
    token = Digester.token

    def counted(self: Digester, value: object, name: str = "value") -> bytes:
        looks.append(value)
        return token(self, value, name)

    monkeypatch.setattr(Digester, "token", counted)
    signature_of(_layers(threading.Lock(), 20, 5), "layers", _shallow)  # 3,200,000 ways

    assert len(looks) < 200


def test_sharing_does_not_count() -> None:
    lock = threading.Lock()
    shared = [1, lock]

    one = signature_of([shared, shared], "x", _shallow)
    other = signature_of([[1, lock], [1, lock]], "x", _shallow)

    assert one.digest == other.digest


def test_what_lies_too_deep_to_be_told_is_named() -> None:
    found = signature_of(_layers(threading.Lock(), 2, 12), "layers", _shallow)

    assert found.untracked == ("layers" + "[0]" * 6,)
