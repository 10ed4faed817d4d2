"""A Chromium for the tests of one file, and boards in it that must leave no error behind."""

import pytest
from playwright.sync_api import sync_playwright

from tests import chromium
from tests.board.page import FLAGS, Live


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def open_board(browser):
    opened: list[Live] = []

    def start(**options):
        opened.append(Live(browser, **options))
        return opened[-1]

    yield start
    for one in opened:
        errors, requests = one.errors, one.requests
        one.context.close()
        assert errors == []
        assert [url for url in requests if not url.startswith(("blob:", "data:"))] == []
