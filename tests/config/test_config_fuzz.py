"""Whatever stands in a file: diagnostics or settings, never an exception, never long."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.config.diagnostic import Severity
from imd.config.load import Faulty, check, load
from imd.config.yamlfile import BYTES_MAX

ROOT = Path(__file__).parent.parent.parent
SEEDS = [
    file.read_bytes()
    for file in [ROOT / "config.example.yaml", *ROOT.glob("rules/*.yaml"), *Path(__file__).parent.glob("golden/*.yaml")]
]
YAML_BYTES = st.sampled_from([bytes([byte]) for byte in b"\n\t -:,[]{}\"'|>&*!#%@`?~<=\\\0ab0.\xff\xc3"])
SECONDS_MAX = 5.0


def _checked(raw: bytes) -> None:
    """The bytes as config.yaml and as a rule file, each within its time; load and check agree."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_bytes(raw)
        for config, paths in ((file, []), (None, [file])):
            started = time.monotonic()
            found = check(config, paths, {})
            assert time.monotonic() - started < SECONDS_MAX
            assert all(one.line >= 1 and one.column >= 1 and one.render() and one.render(color=True) for one in found)
            if any(one.severity is Severity.ERROR for one in found):
                with pytest.raises(Faulty) as raised:
                    load(config, paths, {})
                assert list(raised.value.diagnostics) == found
            else:
                assert list(load(config, paths, {}).warnings) == found


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
