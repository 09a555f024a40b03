"""Whatever stands in a file: diagnostics or settings, never an exception, never long."""

from __future__ import annotations

import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.config import rulekeys
from imd.config.diagnostic import Diagnostic, Severity
from imd.config.load import Faulty, check, load
from imd.config.yamlfile import BYTES_MAX
from imd.core.oncall import gap_ahead

ROOT = Path(__file__).parent.parent.parent
SEEDS = [
    file.read_bytes()
    for file in sorted(
        [ROOT / "config.example.yaml", *ROOT.glob("rules/**/*.yaml"), *Path(__file__).parent.glob("golden/*.yaml")]
    )
]
EXAMPLES = [
    example.encode()
    for page in ("rules", "config", "sources")
    for example in re.findall(r"^```yaml\n(.*?)^```", (ROOT / f"docs/{page}.md").read_text(), re.MULTILINE | re.DOTALL)
]
LINES = sorted({line for seed in [*SEEDS, *EXAMPLES] for line in seed.split(b"\n") if not line.startswith(b"#")})
NASTY = [
    b"- ", b"  ", b": ", b"*a", b"&a ", b"<<: *a", b"!!python/object:os.system x", b"{{ x }}", b"'", b'"', b"|", b">-",
    b"---", b"...", b"%YAML 1.1", b"\t", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\xa0",
    b"\xf0\x9f\x94\xa5", b"no", b"~", b"1:30", b"0777", b"1e999", b".inf", b"-0", b"2026-01-01", b"../../../etc/passwd",
    b"/dev/zero", b"[[[[[[[[", b"(" * 40, b"a=~\"(((((((((\"", b"# imd: allow W005, R003 x", b"${HOME}", b"9" * 400,
    b"{% for a in b %}", b"\\u0000", b"\\", b"99999999y", b"mon:fri", b"\xe2\x80\x9c",
]  # fmt: skip
YAML_BYTES = st.sampled_from([bytes([byte]) for byte in b"\n\t -:,[]{}\"'|>&*!#%@`?~<=\\\0ab0.\xff\xc3"])
SECONDS_MAX = 5.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _checked(raw: bytes) -> None:
    """The bytes as config.yaml and as a rule file, each within its time; load and check agree."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_bytes(raw)
        for config, paths in ((file, []), (None, [file])):
            started = time.process_time()
            found = check(config, paths, {}, NOW, gap_ahead)
            assert time.process_time() - started < SECONDS_MAX
            assert all(one.render() and one.render(color=True) for one in found)
            _in_the_file([one for one in found if one.path == str(file)], raw)
            found = check(config, paths, {})
            if any(one.severity is Severity.ERROR for one in found):
                with pytest.raises(Faulty) as raised:
                    load(config, paths, {})
                assert list(raised.value.diagnostics) == found
            else:
                assert list(load(config, paths, {}).warnings) == found


def _in_the_file(found: list[Diagnostic], raw: bytes) -> None:
    """Each stands at a line that is there, no further than behind its end, and shows that line."""
    lines = re.split(r"\r\n|\n|\r", raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
    for one in found:
        assert 1 <= one.line <= max(1, len(lines)), one
        line = lines[one.line - 1]
        assert 1 <= one.column <= len(line) + 2, one
        assert one.end_column > one.column, one
        assert len(one.source) <= len(line), one
        assert 0 <= one.caret <= len(one.source) + 1, one


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text(text: str) -> None:
    """Random text."""
    _checked(text.encode("utf-8", "surrogatepass"))


@given(st.lists(YAML_BYTES, max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_punctuation(parts: list[bytes]) -> None:
    """Text made of what means something to YAML."""
    _checked(b"".join(parts))


@given(
    st.sampled_from(SEEDS),
    st.lists(
        st.tuples(st.integers(0, 4000), st.integers(0, 12), st.lists(YAML_BYTES, max_size=6)), min_size=1, max_size=4
    ),
)
@settings(max_examples=250, deadline=None)
def test_mutated_files(seed: bytes, edits: list[tuple[int, int, list[bytes]]]) -> None:
    """Real files with pieces cut out and pieces put in."""
    for at, cut, put in edits:
        at %= len(seed) + 1
        seed = seed[:at] + b"".join(put) + seed[at + cut :]
    _checked(seed)


@given(
    st.sampled_from([*SEEDS, *EXAMPLES]),
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.sampled_from(["line", "copy", "drop", "swap", "indent", "nasty", "value", "cut"]),
            st.sampled_from(LINES),
            st.sampled_from(NASTY),
            st.integers(0, 200),
        ),
        min_size=1,
        max_size=6,
    ),
)
@settings(max_examples=400, deadline=None)
def test_files_with_lines_of_others(seed: bytes, edits: list[tuple[int, str, bytes, bytes, int]]) -> None:
    """Lines of one file in another, lines moved, doubled and indented otherwise, values exchanged for nasty ones."""
    lines = seed.split(b"\n")
    for number, what, line, nasty, column in edits:
        at = number % len(lines)
        match what:
            case "line":
                lines.insert(at, line)
            case "copy":
                lines.insert(at, lines[column % len(lines)])
            case "drop":
                lines[at] = b""
            case "swap":
                other = column % len(lines)
                lines[at], lines[other] = lines[other], lines[at]
            case "indent":
                lines[at] = b" " * (column % 9) + lines[at].lstrip(b" ")
            case "nasty":
                lines[at] = lines[at][:column] + nasty + lines[at][column:]
            case "value":
                key, colon, _ = lines[at].partition(b": ")
                lines[at] = key + colon + nasty
            case _:
                lines[at] = lines[at][:column]
    _checked(b"\n".join(lines))


_MORE = {"weekly", "monthly", "once", "from", "to", "weekdays", "count", "at_least", "within", "parts", "id", "match"}
_TABLES = [table for table in vars(rulekeys).values() if isinstance(table, dict)]
KEYS = sorted(_MORE | {word for table in _TABLES for word in table if isinstance(word, str)})
WORDS = ['a="b"', "5m", "P1", "high", "drop", "person:ana", "receiver:x", "09:00", "{{ labels.a }}", *KEYS]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(), st.text(max_size=12), st.sampled_from(WORDS)
)
TREES = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(sorted(rulekeys.TOP)), TREES, min_size=1, max_size=4), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_values_under_real_keys(tree: dict[str, object], flow: bool) -> None:
    """Whatever has the right names and not the right shapes."""
    _checked(yaml.dump(tree, default_flow_style=flow, allow_unicode=True).encode("utf-8", "surrogatepass"))


def test_large_and_nasty_files() -> None:
    """A megabyte of each shape that costs something somewhere."""
    size = BYTES_MAX - 64
    for unit in (b"[", b"- ", b"{", b"a, ", b'"', b"&a ", b"x", b"9", b"sec"):
        _checked(unit * (size // len(unit)))
    keys = b"".join(b"k%d: 1\n" % number for number in range(30_000))
    rule = b"  - {name: r%d, match: 'a=\"%d\"', hodl: 1, title: '{{'}\n"
    _checked(keys)
    _checked(b"rules:\n" + b"".join(rule % (number, number) for number in range(3_000)))
    _checked(b"rules: [{name: a, match: 'a=~\"" + b"(" * 20_000 + b"\"'}]")
    _checked(b"rules: [{name: a, title: '" + b"{{ (" * 4_000 + b"'}]")
    _checked(b"rules: [{name: a, match: 'a=\"b\"', title: '{{ " + b"(" * 1_500 + b"1" + b")" * 1_500 + b" }}'}]")
    _checked(b"receivers: [{name: a, type: webhook, url: " + b"secret" * 90_000 + b": x}]")
