"""No text becomes markup, and whatever a model writes can be shown."""

from hypothesis import given
from hypothesis import strategies as st

from cutaway.evaluation.report.markup import Markup, join, tag

HOSTILE = "<script>alert(1)</script>\" onload='x' &amp; </style>"


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", ["1 < 2 & 3", tag("b", "x")]) == "<p>1 &lt; 2 &amp; 3<b>x</b></p>"


def test_attributes_cannot_be_left():
    made = tag("a", "x", css="note", attributes={"title": HOSTILE, "width": 3.14159})
    assert made.count('"') == 6
    assert made.startswith('<a class="note" title="&lt;script&gt;')
    assert 'width="3.1"' in made


def test_void_elements_have_no_end():
    assert tag("br") == "<br>"


@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x1FFFF)))
def test_every_text_becomes_valid_html_without_tags(text):
    shown = join(text)
    assert isinstance(shown, Markup)
    assert "<" not in shown
    assert ">" not in shown
    shown.encode()
    assert all(character in "\n\t" or ord(character) >= 32 for character in shown)
