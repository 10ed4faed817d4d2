"""Text becomes HTML in one place, and long text is cut without being walked through."""

import base64

from cellist.drawing.markup import clipped, data_uri, escaped


def test_clipping_a_huge_text_does_not_walk_through_it():
    assert clipped("a b\n" * 10_000_000, 9) == "a b a b …"


def test_markup_quotes_and_control_characters_are_escaped():
    assert escaped('<a href="x">&\'\x00\ud800') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;��"


def test_a_picture_as_data_uri_is_the_picture():
    head, data = data_uri("<svg>é</svg>").split(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == "<svg>é</svg>"
