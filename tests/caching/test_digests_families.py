"""Two thousand values: any two of a family differ, equal ones agree, in processes that differ, too.

They are expressions in a file of their own, in sections. Within a section `differ`, with a bar
between any two, each two values differ in something that a function could see. Those on one line of
`agree` are equal by construction: built in another way or order, restored from a pickle, copied, or
used in between. Those of `refused` have no digest. Two processes with other hash seeds evaluate
them, one of them backwards.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import json, os, warnings
warnings.simplefilter("ignore")
from cellist.caching import digest_value
def digest(text, wrap):
    try:
        value = eval(text)
    except Exception as error:
        return f"no value: {error!r}"
    try:
        return digest_value([value] if wrap else value, "arg")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(json.dumps([{text: digest(text, wrap) for text in texts}
                  for wrap, texts in enumerate(json.loads(os.environ["TEXTS"]))]))
"""


def split(texts: str) -> Iterator[str]:
    """Yield the expressions between bars that are in no brackets and no text."""
    found, depth, quote, escaped = "", 0, "", False
    for letter in texts.strip():
        if quote:
            escaped, ends = letter == "\\" and not escaped, letter == quote and not escaped
            quote = "" if ends else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "|" and not depth:
            yield found.strip()
            found = ""
            continue
        depth += 0 if quote else (letter in "([{") - (letter in ")]}")
        found += letter
    yield found.strip()


FILE = Path(__file__).with_name("value_families.txt")
SECTIONS: dict[str, str] = dict(
    section.split("\n", 1)
    for section in FILE.read_text(encoding="utf-8").removeprefix("= ").split("\n= ")
)
FAMILIES = {
    name.removeprefix("differ: "): list(split(texts))
    for name, texts in SECTIONS.items()
    if name.startswith("differ: ")
}
GROUPS = [list(split(line)) for line in SECTIONS["agree"].strip().splitlines()]
HOPELESS = SECTIONS["refused"].strip().splitlines()
VALUES = list(dict.fromkeys(text for of in (*FAMILIES.values(), *GROUPS) for text in of))


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, str]]]:
    """What each of two processes says of all values, and of those that are to be refused."""
    place = tmp_path_factory.mktemp("families")
    (place / "families.py").write_text(SECTIONS["setup"] + PROGRAM, encoding="utf-8")
    running = [
        subprocess.Popen(
            [sys.executable, "families.py"],
            cwd=place,
            env={**os.environ, "PYTHONHASHSEED": seed, "TEXTS": json.dumps([texts, HOPELESS])},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, texts in (("1", VALUES), ("77", VALUES[::-1]))
    ]
    return [json.loads(one.communicate()[0]) for one in running]


Digests = list[list[dict[str, str]]]


def test_there_are_enough_values() -> None:
    assert len(VALUES) > 1900
    assert len(GROUPS) > 120


def test_each_value_has_one_digest_everywhere(digests: Digests) -> None:
    one, other = (found[0] for found in digests)
    assert [text for text in VALUES if len(one[text]) != 64 or " " in one[text]] == []
    assert [text for text in VALUES if one[text] != other[text]] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_any_two_of_a_family_differ(digests: Digests, name: str) -> None:
    seen: dict[str, list[str]] = {}
    for text in FAMILIES[name]:
        seen.setdefault(digests[0][0][text], []).append(text)
    assert [texts for texts in seen.values() if len(texts) > 1] == []


def test_equal_values_agree(digests: Digests) -> None:
    found = digests[0][0]
    assert [texts for texts in GROUPS if len({found[text] for text in texts}) > 1] == []


def test_what_has_no_value_is_refused_with_its_path(digests: Digests) -> None:
    for _, found in digests:
        odd = {
            text: said
            for text, said in found.items()
            if not said.startswith("HashError: arg[0]") or 'INPUTS - "arg"' not in said
        }
        assert odd == {}
    assert len(HOPELESS) > 80
