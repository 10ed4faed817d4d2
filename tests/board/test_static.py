"""The front end as files: one module without imports, a class for every look, enough contrast."""

import json
import re
from random import Random

import pytest

from cellist.board import assets
from cellist.board.palette import LOOKS, OVER, PAPER
from cellist.board.wording import duration, look_of_many, ordered, progress_text
from tests.board import frontend

STATIC = frontend.STATIC
SOURCES = sorted(file.name for file in STATIC.glob("*.js"))
STYLES = sorted(file.name for file in STATIC.glob("*.css"))
STYLE = "".join((STATIC / name).read_text("utf-8") for name in STYLES)
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
    css = STYLE
    assert set(inks(css)) == set(LOOKS)
    for look in LOOKS:
        assert f".cellist .is-{look} {{ --ink: var(--is-{look}); }}" in css


@pytest.mark.parametrize("look", LOOKS)
def test_colours_can_be_read(look):
    light, dark = inks(STYLE)[look]
    assert contrast(light, PAPER) >= 4.5
    assert contrast(dark, DARK_PAPER) >= 4.5
    assert contrast(LOOKS[look].ink, PAPER) >= 4.5


def test_icons_words_and_codes_tell_looks_apart():
    for field in ("icon", "word", "code"):
        assert len({getattr(look, field) for look in LOOKS.values()}) == len(LOOKS)
    assert all(len(look.code) == 1 for look in LOOKS.values())


def test_the_module_needs_nothing_from_anywhere():
    text = assets.board_js()
    assert re.search(r"(?<![\w.$])import\b", text) is None
    assert len(re.findall(r"(?<![\w.$])export\b", text)) == 1
    assert re.search(r"export\{\w+ as default\};\s*$", text)
    without_namespace = text.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in without_namespace + assets.board_css()
    assert "url(" not in assets.board_css()
    assert "@import" not in assets.board_css()


def test_the_module_is_small(capsys):
    sizes = [len(text.encode()) for text in (assets.board_js(), assets.board_css())]
    with capsys.disabled():
        print(
            f"\n  a saved widget carries {sizes[0]:,} bytes of script, {sizes[1]:,} of styles",
            end="",
        )
    assert sum(sizes) < 80_000


@pytest.mark.parametrize("name", SOURCES)
def test_text_never_becomes_html(name):
    text = (STATIC / name).read_text("utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser"
    )
    assert re.findall(forbidden, text) == []
    assert text.startswith("// @ts-check\n")


# What needs Node fails without it, see `frontend.py`.


@pytest.mark.parametrize("name", ["board.js", "board.css"])
def test_the_bundle_is_fresh(tmp_path, name):
    frontend.build(tmp_path)
    fresh = (tmp_path / name).read_text("utf-8")
    if (frontend.BUNDLE / name).read_text("utf-8") != fresh:
        pytest.fail(f"{name} is not what the modules in static/ make: run `make bundle`")


def test_every_module_is_used():
    inputs = frontend.inputs()
    assert inputs == {*SOURCES, *STYLES} - {"types.js"}


def test_types_are_right():
    frontend.check_types()


def test_a_wrong_type_is_found(tmp_path):
    wrong = tmp_path / "wrong.js"
    wrong.write_text("/** @param {number} a */\nexport const f = (a) => a.length;\n")
    settings = {"extends": str(frontend.HERE / "tsconfig.json"), "include": [str(wrong)]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    with pytest.raises(frontend.FrontendError, match=r"wrong.js.*'length' does not exist"):
        frontend.check_types(tmp_path / "tsconfig.json")


def test_the_tests_in_javascript_pass():
    report = frontend.run_tests()
    assert int(re.findall(r"^# pass (\d+)", report, re.MULTILINE)[0]) >= 9


def test_durations_are_the_same_words_as_in_python():
    seconds = [0, 0.0126, 0.9991, 0.9996, 1.44, 9.94, 9.96, 59.6, 185, 3599.7, 7620, 90_000]
    program = (
        f"import {{ duration }} from {json.dumps(str(STATIC / 'time.js'))};"
        f"console.log(JSON.stringify({json.dumps(seconds)}.map((s) => duration(s * 1000))))"
    )
    printed = frontend.node("--input-type=module", "--no-warnings", "-e", program)
    assert json.loads(printed) == [duration(value) for value in seconds]


def test_the_words_on_a_group_are_the_same_as_in_python():
    """The page works them out from the states of the runs, so as to be told little."""
    random = Random(4)
    cases = [
        {look: random.choice([0, 0, 1, 3, 1_200]) for look in random.sample([*LOOKS], 4)}
        for _ in range(400)
    ]
    order = {look: place for place, look in enumerate(LOOKS)}
    over = [sum(n for look, n in case.items() if look in OVER) for case in cases]
    program = f"""
        import {{ lookOfMany, ordered, progressText }} from {json.dumps(str(STATIC / "groups.js"))};
        const over = {json.dumps(over)};
        console.log(JSON.stringify({json.dumps(cases)}.map((case_, i) => {{
          const numbers = new Map(Object.entries(case_));
          const total = [...numbers.values()].reduce((sum, n) => sum + n, 0);
          const order = {json.dumps(order)};
          const text = progressText(numbers, over[i], total);
          return [lookOfMany(numbers), text, ordered(numbers, order)];
        }})));
    """
    printed = json.loads(frontend.node("--input-type=module", "--no-warnings", "-e", program))
    assert printed == [
        [
            look_of_many(case),
            progress_text(case, sum(case.values())),
            [list(pair) for pair in ordered(case)],
        ]
        for case in cases
    ]
