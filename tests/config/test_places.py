"""Where a character of a text stands in its file, in each of YAML's styles."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.config.document import Document, Mapping, Node, Scalar, Sequence
from imd.config.places import point_in
from imd.config.yamlfile import read_document
from imd.model import metering
from imd.model.rule import BadPattern, full_match
from imd.model.template import BadTemplate, Template, asked_for

MARK = "\N{BLACK STAR}"
"""Stands for the character that is looked for: it is one in the text and one in the file."""


def _scalars(node: Node | None) -> list[Scalar]:
    match node:
        case Scalar():
            return [node]
        case Mapping():
            return [one for entry in node.entries.values() for one in _scalars(entry.value)]
        case Sequence():
            return [one for item in node.items for one in _scalars(item)]
        case _:
            return []


def _found(document: Document) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the mark is by point_in, and where it is in the file."""
    scalar = next(one for one in _scalars(document.root) if MARK in one.text)
    span = point_in(document, scalar, scalar.text.index(MARK), 1)
    line = next(number for number, source in enumerate(document.lines, 1) if MARK in source)
    assert (span.end_line, span.end_column) == (span.line, span.column + 1)
    return (span.line, span.column), (line, document.lines[line - 1].index(MARK) + 1)


PIECES = st.sampled_from(
    ["a", "b c", " ", "\n", "\n\n", "  ", "x: y", "'", '"', "\\", "é", "\N{GRINNING FACE}", "\t", "#", "- z", "{", "|"]
)


@given(
    st.lists(PIECES, max_size=8),
    st.lists(PIECES, max_size=8),
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.sampled_from([5, 12, 80]),
    st.sampled_from([2, 4, 7]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=1500, deadline=None)
def test_a_character_is_found_in_every_style(
    before: list[str], after: list[str], style: str | None, width: int, indent: int, listed: bool, end: bool
) -> None:
    """Whatever PyYAML writes: quoted, escaped, folded, in blocks, at any depth."""
    text = "".join([*before, MARK, *after])
    value = {"outer": {"k": [text, "z"] if listed else text, **({} if end else {"z": "y"})}}
    written = yaml.dump(value, default_style=style, width=width, indent=indent, allow_unicode=True)
    if MARK not in written:
        return
    document = read_document("x", written.encode())
    assert not document.faults
    found, real = _found(document)
    assert found == real


@pytest.mark.parametrize(
    "text",
    [
        'k: "a\\\n  \\  b★c"\n',
        'k: "a   \n\n\n   b★c"\n',
        'k: "a \\\n\n  b★"\n',
        'k: "\\x41\\u00e9\\U0001F600\\n\\t\\\\\\"★"\n',
        "k: 'it''s ''★'\n",
        "k: one\n  two\n\n  three ★ four # said\n",
        "k: >\n\n  one\n  two\n\n\n  three\n    more ★\n  less\n",
        "k: >2-\n    in ★\n  out\n",
        "k: |+\n\n\n  a\n   ★\n\n",
        "k: | # said\n  a ★\n",
        "k:\n  - - >-\n     a\n     b ★ c\n",
        "{k: [a b\n c★, d]}\n",
        "k: \N{GRINNING FACE}\N{FAMILY} ★\n",
        "? a\n: ★\n",
        "k: one\r\n  two ★\r\n",
    ],
)
def test_a_character_is_found_as_people_write(text: str) -> None:
    """Line ends that a backslash takes away, indicators, comments behind headers, empty lines, CRLF."""
    found, real = _found(read_document("x", text.encode()))
    assert found == real


@pytest.mark.parametrize(
    ("text", "offset", "length", "place"),
    [
        ("k: abc", 1, None, (1, 5, 7)),
        ("k: abc", 1, 1, (1, 5, 6)),
        ("k: abc", 3, None, (1, 7, 8)),
        ("k: 'abc'", 9, None, (1, 8, 9)),
        ("k: |\n  ab\n  cd\n", 1, None, (2, 4, 5)),
        ("k: |\n  ab\n  cd\n", 1, 9, (2, 4, 5)),
        ("k: |\n  ab\n", 9, None, (2, 5, 6)),
        ('k: "\\x41b"', 0, 1, (1, 5, 9)),
        ("k: ''", 0, None, (1, 4, 6)),
    ],
)
def test_how_far_a_place_reaches(text: str, offset: int, length: int | None, place: tuple[int, int, int]) -> None:
    """A few characters, the rest of their line, or the place behind the text."""
    document = read_document("x", text.encode())
    [scalar] = _scalars(document.root)
    span = point_in(document, scalar, offset, length)
    assert (span.line, span.column, span.end_column) == place


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("{{ labels.x★", ""), ("{{ labels.x ★} and", "}"), ("{{ a ★b }}", "b"), ("{{ x | ★nofilt }}", "nofilt"),
        ("a {% ★if x %} b", "if"), ("{% if x %}{% ★foo %}", "foo"), ("a\nb {{ ★'x }}", "'"), ("{{ ★$ }}", "$"),
        ("{{ ★) }}", ")"), ("{{ x is ★notest }}", "notest"), ("{% for x ★y %}{% endfor %}", "y"),
        ("{{ 1 + ★}}", "}}"), ("{%- if x -%}  a {{ b ★c }}{% endif %}", "c"), ("{{ {1:2} }} {{ (a ★}}", "}"),
        ("{% ★endif %}", "endif"), ("{# b c #}{{ a }} {% raw %} {{ a b }} {% endraw %}\n{{ c\n ★d }}", "d"),
        ("{{ ''.split(x | ★foo(1)) }}", "foo"), ("{% set x = ★%}", "%}"), ("{% if x %}{% if y %}{% endif %}★", ""),
        ("{{ 'é\N{GRINNING FACE}' }} {{ ★! }}", "!"),
    ],
)  # fmt: skip
def test_a_template_s_fault_stands_at_its_word(source: str, at: str) -> None:
    """Jinja gives the line alone."""
    with pytest.raises(BadTemplate) as raised:
        Template(source.replace(MARK, ""))
    offset = source.index("{% ") + 3 if source.startswith("{% if x %}{% if y") else source.index(MARK)
    assert raised.value.offset == offset, raised.value
    assert source.replace(MARK, "").startswith(at, offset)


@pytest.mark.parametrize(
    "pattern",
    [
        "Kube★(.*", "★(?!web).*", "a★**", "★*a", "a|★*b", "[★z-a]", "[a\\dz]b[★z-a]", "a[b]★[abc", "a★\\q", "a★)",
        "ab★\\", "x★{1001}", "x★{2,1}", "(b★(?z)", "[★[:foo:]]", "(a)★(b[)(]", "\\(\\)(a)★)", "\\Q((\\E★)", "★(?<n",
        "a\\*|★*", "é★\\1",
    ],
)  # fmt: skip
def test_a_regex_s_fault_stands_at_its_character(pattern: str) -> None:
    """RE2 says what, not where."""
    with pytest.raises(BadPattern) as raised:
        full_match(pattern.replace(MARK, ""))
    assert raised.value.offset == pattern.index(MARK), raised.value
    assert "^(?" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ labels.a }}: node {{ labels.b }} lost ({{ firing }})", ["labels.a", "labels.b", "firing"]),
        ("{% if incident.number == 1 and not cause %}{{ group['a'] }}{% endif %}", ["incident.number", "group"]),
        ("{% for k, v in labels.items() %}{{ k }}={{ v | upper }}{{ loop.index }}{% endfor %}", ["labels.items"]),
        ("{% set n = alerts %}{{ n }} {{ x if n is defined else l.y | default('z', true) }}", ["alerts", "x", "l.y"]),
        ("{{ range(3) | join(', ') }} {# comment.x #} text.y { z } {{ 'a.b' }}", []),
    ],
)  # fmt: skip
def test_what_a_template_asks_for(source: str, names: list[str]) -> None:
    """From outside: no words of Jinja's, no names of its own, no filters, tests or attributes."""
    Template(source)
    assert [name for name, _ in asked_for(source)] == names
    assert all(source.startswith(name.partition(".")[0], offset) for name, offset in asked_for(source))


@pytest.mark.parametrize(
    "source",
    [
        "{{ labels.a }}",
        "{{labels.a}} { x }} {{ firing }}",
        "{{ incident.number }}\n{",
        "plain",
        "{{ labels }}",
        "{a{{ cause }}",
    ],
)
def test_simple_templates_are_jinja_s(source: str) -> None:
    """What is taken without its compiler gives what that gives."""
    values = {"labels": {"a": "x"}, "firing": 3, "incident": {"number": 7}, "cause": "c"}
    with metering.metered(None):
        assert Template(source).render(values) == metering.compiled(source).render(values)
