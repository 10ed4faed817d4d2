"""What the README points at is there: files, pictures, commands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
TARGETS = re.findall(r"\]\(([^)\s]+)\)", README) + re.findall(r'src(?:set)?="([^"]+)"', README)
LOCAL = [target for target in TARGETS if "://" not in target]


@pytest.mark.parametrize("target", sorted(set(LOCAL)))
def test_link_leads_somewhere(target):
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w-]+\.ipynb)`", README))))
def test_notebook_is_there(name):
    assert (ROOT / "notebooks" / name).is_file()


def test_commands_are_targets():
    named = set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE))
    made = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= named <= made
