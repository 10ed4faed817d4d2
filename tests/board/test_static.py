"""The front end as files: one module without imports, a class for every look, enough contrast."""

import json
import re
import shutil
import subprocess

import pytest

from cellist.board import assets
from cellist.board.palette import LOOKS, PAPER
from cellist.board.wording import duration

STATIC = assets._STATIC
SOURCES = sorted(file.name for file in STATIC.iterdir() if file.name.endswith(".js"))
DARK_PAPER = "#16191d"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def inks(css):
    """Return the colours of looks: light first, dark second."""
    found: dict[str, list[str]] = {}
    for name, colour in re.findall(r"--is-(\w+): (#\w{6});", css):
        found.setdefault(name, []).append(colour)
    return found


def test_every_look_has_its_class_and_both_its_colours():
    css = assets.board_css()
    assert set(inks(css)) == set(LOOKS)
    for look in LOOKS:
        assert f".cellist .is-{look} {{ --ink: var(--is-{look}); }}" in css


@pytest.mark.parametrize("look", LOOKS)
def test_colours_can_be_read(look):
    light, dark = inks(assets.board_css())[look]
    assert contrast(light, PAPER) >= 4.5
    assert contrast(dark, DARK_PAPER) >= 4.5
    assert contrast(LOOKS[look].ink, PAPER) >= 4.5


def test_icons_words_and_codes_tell_looks_apart():
    for field in ("icon", "word", "code"):
        assert len({getattr(look, field) for look in LOOKS.values()}) == len(LOOKS)
    assert all(len(look.code) == 1 for look in LOOKS.values())


def test_the_module_needs_nothing_from_anywhere():
    text = assets.board_js()
    assert re.search(r"^\s*import\b", text, re.MULTILINE) is None
    assert re.findall(r"^export\b.*", text, re.MULTILINE) == ["export default () => ({"]
    without_namespace = text.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in without_namespace + assets.board_css()
    assert "url(" not in assets.board_css()
    assert len(text) < 40_000, "a saved widget carries the text"


def test_every_module_is_used():
    reached = set(assets._in_order("main.js", {}))
    assert reached | {"types.js"} == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_text_never_becomes_html(name):
    text = (STATIC / name).read_text("utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser"
    )
    assert re.findall(forbidden, text) == []
    assert text.startswith("// @ts-check\n")


@pytest.mark.parametrize(
    "text",
    [
        "export * from './other.js';\n",
        'import x from "./dom.js";\n',
        'import { h } from "https://cdn.example/dom.js";\n',
        "export { a };\n",
        "const h = 1;\n",
    ],
)
def test_what_the_bundler_does_not_know_is_refused(monkeypatch, text):
    source = assets._source
    monkeypatch.setattr(
        assets, "_source", lambda name: source(name) + (text if name == "main.js" else "")
    )
    with pytest.raises(assets.BundleError):
        assets.bundle()


def test_modules_that_import_each_other_are_refused(monkeypatch):
    source = assets._source
    more = 'import { makeList } from "./list.js";\n'
    monkeypatch.setattr(
        assets, "_source", lambda name: (more if name == "dom.js" else "") + source(name)
    )
    with pytest.raises(assets.BundleError, match="import each other"):
        assets.bundle()


def test_comments_go_and_code_stays(monkeypatch):
    text = (
        "// a line\n/** a block\n * of lines */\nconst a = 1; // stays\n"
        "  /** @type {number} */ (window).b = a;\n  /** one */\n  const url = 'x//y';\n"
    )
    monkeypatch.setattr(assets, "_source", lambda name: text)
    assert assets.bundle() == (
        "const a = 1; // stays\n/** @type {number} */ (window).b = a;\nconst url = 'x//y';\n"
    )


NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="not on machines without node: the browser tests cover it")
def test_durations_are_the_same_words_as_in_python():
    seconds = [0, 0.0126, 0.9991, 0.9996, 1.44, 9.94, 9.96, 59.6, 185, 3599.7, 7620, 90_000]
    program = (
        f"import {{ duration }} from {json.dumps(str(STATIC / 'time.js'))};"
        f"console.log(JSON.stringify({json.dumps(seconds)}.map((s) => duration(s * 1000))))"
    )
    done = subprocess.run(
        [NODE or "", "--input-type=module", "--no-warnings", "-e", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [duration(value) for value in seconds]
