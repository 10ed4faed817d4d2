"""What a `%%task` cell does to the process besides its names."""

import threading

from cellist.notebook import effects


def test_a_thread_that_is_started_is_an_effect_and_one_that_ends_is_none() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="feeder")
    before = effects.facts()
    thread.start()
    during = effects.facts()
    go.set()
    thread.join()
    after = effects.facts()
    assert effects.changed(before, during, frozenset()) == ["a thread that runs on feeder"]
    assert effects.changed(during, after, frozenset()) == []
