"""YAML with places: scalars of YAML 1.2, what is refused, and where a fault points."""

from __future__ import annotations

import math

import msgspec
import pytest

from imd.config import codes
from imd.config.diagnostic import Diagnostic, Severity
from imd.config.document import Document, Mapping, Scalar
from imd.config.places import point_in
from imd.config.yamlfile import read_document


def _read(text: str, secrets: bool = False) -> Document:
    return read_document("x.yaml", text.encode(), secrets=secrets)


def _value(text: str) -> object:
    root = _read(f"key: {text}\n").root
    assert isinstance(root, Mapping)
    node = root.entries["key"].value
    assert isinstance(node, Scalar)
    return node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("12:30:45", "12:30:45"), ("012", 12), ("0o17", 15), ("0x1F", 31), ("1e3", 1000.0), ("0b11", "0b11"),
        ("+5", 5), ("-5", -5), (".5", 0.5), ("5.", 5.0), ("1.5e-3", 0.0015), (".inf", math.inf), ("-.INF", -math.inf),
        ("true", True), ("FALSE", False), ("tRue", "tRue"), ("~", None), ("", None), ("Null", None), ("1 2", "1 2"),
        ("2026-01-01", "2026-01-01"), ("'5'", "5"), ('"true"', "true"), ("''", ""), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_yaml_1_2_core(text: str, value: object) -> None:
    """No 1.1 booleans, sexagesimals, octals, binaries, dates or underscores."""
    assert _value(text) == value
    assert type(_value(text)) is type(value)


def test_long_numbers_cost_nothing() -> None:
    """Python's int() is quadratic and refuses more than 4,300 digits."""
    assert _value("9" * 100_000) == math.inf


def test_the_first_of_two_equal_keys_stands() -> None:
    """The second is the fault, and what stands behind it is still read."""
    document = _read("a: 1\nb: 2\na: {c: 3}\nd: 4\n")
    assert [(one.code, one.line, one.column) for one in document.faults] == [(codes.DUPLICATE_KEY, 3, 1)]
    assert isinstance(document.root, Mapping)
    assert list(document.root.entries) == ["a", "b", "d"]
    assert not document.whole


def test_an_empty_file_is_whole() -> None:
    """Comments alone are no fault."""
    document = _read("# nothing yet\n")
    assert (document.root, document.whole, document.faults) == (None, True, [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_editors(end: str) -> None:
    """Whatever ends a line; and the excerpt is the very line."""
    document = _read(end.join(["a: 1", "b: 2", "a: 3", ""]))
    assert (document.faults[0].line, document.faults[0].source) == (3, "a: 3")


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("k: abcdef", 2, (1, 6)),
        ("k: 'abcdef'", 2, (1, 7)),
        ("k: 'a''bcd'", 2, (1, 8)),
        ('k: "a\\"bcd"', 2, (1, 8)),
        ('k: "\\u0041\\x42c"', 2, (1, 15)),
        ("k: |\n  abc\n  def", 5, (3, 4)),
        ("k: 'ab\n  cd'", 3, (2, 3)),
        ("k: 'ab'", 9, (1, 7)),
    ],
)
def test_a_place_inside_a_scalar(text: str, offset: int, place: tuple[int, int]) -> None:
    """Through quotes, escapes and blocks; the scalar's start where it runs over several lines otherwise."""
    document = _read(text)
    assert isinstance(document.root, Mapping)
    node = document.root.entries["k"].value
    assert isinstance(node, Scalar)
    span = point_in(document, node, offset)
    assert (span.line, span.column) == place
    assert span.end_column > span.column or span.end_line > span.line


def test_secrets_are_starred_out_of_the_lines_shown() -> None:
    """Whether or not the file parses, and whatever the key is called; references to variables and files stay."""
    canary = "hunter2canary"
    for text in (
        f"receivers: [{{name: a, secret: {canary}, secret: x}}]",
        f"receivers: [{{name: a, secert: {canary}, token: '{canary}', x: {{]",
        f"a: b\nurl: 'https://h/{canary}' x\n",
        f'auth: {{api_key: "{canary}", keys: [{canary}, {canary}]}}: ]',
        f"password: {canary}: {canary}",
        f"token: a,{canary}: {canary}#{canary}",
        "x" * 600 + f", token: {canary}: [",
    ):
        document = _read(text, secrets=True)
        assert document.faults
        assert canary not in "".join(one.render() for one in document.faults)
    assert "${HOOK}" in _read("url: ${HOOK}\nurl: ${HOOK}\n", secrets=True).faults[0].render()
    assert "some.secret" in _read("url: a\nurl_file: x\nurl_file: some.secret\n", secrets=True).faults[0].render()


def test_at_most_a_thousand_faults_a_file() -> None:
    """The rest is not said, and the file is still refused."""
    document = _read("{" + "a, " * 5000 + "}")
    assert len(document.faults) == 1000
    assert document.failed
    assert not document.whole


WIDOW = Diagnostic(
    path="rules/db.yaml",
    line=3,
    column=5,
    end_column=10,
    severity=Severity.ERROR,
    code="R003",
    message='unknown key "widow" in rule "db-down"',
    source="    widow: 5m",
    caret=4,
    width=5,
    expected="expected one of: name, window",
    help='did you mean "window"?',
)


def test_rendering_is_that_of_the_house() -> None:
    """Word for word."""
    assert WIDOW.render() == (
        'rules/db.yaml:3:5: error[R003]: unknown key "widow" in rule "db-down"\n'
        "  3 |     widow: 5m\n"
        "    |     ^^^^^ expected one of: name, window\n"
        '  help: did you mean "window"?'
    )


def test_carets_stand_under_wide_characters_and_tabs() -> None:
    """Two columns for CJK, a tab under a tab."""
    lines = msgspec.structs.replace(WIDOW, source="\t漢字: x", caret=5, width=1, expected="").render().split("\n")
    assert lines[2] == "    | \t      ^"


def test_colour_only_where_asked_and_no_control_characters_ever() -> None:
    """A file cannot send escapes to the terminal."""
    evil = msgspec.structs.replace(WIDOW, message="a\x1b[31mb\nc", source="x\x1b]0;t\x07")
    assert "\x1b" not in evil.render()
    assert evil.render().count("\n") == 3
    assert "\x1b[31m" in evil.render(color=True)
    assert "\x1b]" not in evil.render(color=True)
