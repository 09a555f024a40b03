"""The schemas for editors take what imd takes and refuse what it refuses, as far as a schema can know."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from imd.config.document import Mapping, Node, Scalar, Sequence
from imd.config.load import check
from imd.config.schema import KINDS, schema
from imd.config.testfile import read_tests
from imd.config.yamlfile import read_document
from tests.cli.conftest import Imd, imd  # noqa: F401

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
VALIDATORS = {kind: Draft202012Validator(schema(kind)) for kind in KINDS}
SHIPPED = [ROOT / "config.example.yaml", *sorted(ROOT.glob("rules/**/*.yaml"))]
STRUCTURAL = {"R002", "R003", "R004", "R005", "R010"}


def plain(node: Node) -> Any:
    """As an editor reads YAML 1.2."""
    match node:
        case Mapping(entries=entries):
            return {word: plain(entry.value) for word, entry in entries.items()}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(value=value):
            return value
        case _:
            return None


def documents(raw: bytes) -> list[Any]:
    return [plain(root) for root in read_document("x", raw, several=True).roots]


def kind_of(file: Path) -> str:
    if file.name.startswith("config"):
        return "config"
    return "tests" if file.name.endswith(".test.yaml") or file.name.startswith("tests-") else "rules"


def faults(kind: str, document: Any) -> list[str]:
    return [f"{one.json_path}: {one.message[:200]}" for one in VALIDATORS[kind].iter_errors(document)]


def examples(page: str) -> list[tuple[str, str]]:
    """(kind, text) of each YAML example of a page of the manual."""
    texts = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    if page == "rules.md":  # other people's files and maps stand beside the rules
        texts = [text for text in texts if not text.startswith(("# maps/", "# prometheus/"))]
    if page in ("testing.md", "oncall.md", "rules.md"):
        return [("tests" if ".test.yaml" in text.partition("\n")[0] else "rules", text) for text in texts]
    # Some pages show no more than an entry of a list.
    whole = [text for text in texts if all(isinstance(one, dict) for one in documents(text.encode()))]
    return [("config" if page in OF_CONFIG else "rules", text) for text in whole]


OF_CONFIG = ("config.md", "receivers.md", "sources.md")
EXAMPLES = [one for page in (*OF_CONFIG, "rules.md", "oncall.md", "testing.md") for one in examples(page)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one(kind: str) -> None:
    Draft202012Validator.check_schema(schema(kind))
    assert schema(kind)["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_shipped_file_is_valid_and_says_where_its_schema_is(file: Path) -> None:
    kind = kind_of(file)
    for document in documents(file.read_bytes()):
        assert faults(kind, document) == []
    [named] = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", file.read_text(), re.MULTILINE)
    assert (file.parent / named).resolve() == ROOT / f"schemas/{kind}.json"


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schemas_are_what_the_command_prints(imd: Imd, kind: str) -> None:  # noqa: F811
    code, out, _ = imd("schema", kind)
    assert code == 0
    assert (ROOT / f"schemas/{kind}.json").read_text() == out, "run `make schemas`"


def test_every_example_of_the_manual_is_valid() -> None:
    assert len(EXAMPLES) > 20
    for kind, text in EXAMPLES:
        for document in documents(text.encode()):
            assert faults(kind, document) == [], text


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_file_that_is_broken_in_its_structure_is_not_valid(file: Path) -> None:
    head = file.read_bytes().decode("utf-8", "replace")
    said = set(re.findall(r"^# .*?error\[(\w+)\]", head, re.MULTILINE))
    found = [fault for document in documents(file.read_bytes()) for fault in faults(kind_of(file), document)]
    assert found or not said & STRUCTURAL


# Each place of each example, spoilt in turn.


def maps(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(document, dict):
        yield at
    for word, value in _inside(document):
        yield from maps(value, (*at, word))


def leaves(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = _inside(document)
    if not inside and not isinstance(document, dict | list):
        yield at
    for word, value in inside:
        yield from leaves(value, (*at, word))


def _inside(document: Any) -> list[tuple[Any, Any]]:
    if isinstance(document, dict):
        return list(document.items())
    return list(enumerate(document)) if isinstance(document, list) else []


def put(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    """A copy with this value there."""
    if not at:
        return value
    changed = copy.copy(document)
    changed[at[0]] = put(document[at[0]], at[1:], value)
    return changed


def get(document: Any, at: tuple[Any, ...]) -> Any:
    for word in at:
        document = document[word]
    return document


def codes_of(kind: str, document: Any, folder: Path) -> set[str]:
    """What imd says of the document."""
    raw = json.dumps(document).encode()
    if kind == "tests":
        return {one.code for one in read_tests("x", raw).document.faults}
    (folder / "x.yaml").write_bytes(raw)
    found = check(folder / "x.yaml") if kind == "config" else check(None, [folder / "x.yaml"])
    return {one.code for one in found if one.code.startswith("R")}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_schema_and_imd_know_the_same_keys(number: int, tmp_path: Path) -> None:
    kind, text = EXAMPLES[number]
    for document in documents(text.encode()):
        for at in maps(document):
            if at[-1:] == ("usual",):
                continue  # a map of durations by name: what is wrong with one is no matter of its key
            spoilt = put(document, at, {**get(document, at), "zzz": "x"})
            refused = bool(codes_of(kind, spoilt, tmp_path) & STRUCTURAL)  # in a map of free names "x" is no value
            assert bool(faults(kind, spoilt)) == refused, f"at {at}"


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_a_map_in_place_of_a_value_is_refused_by_both(number: int, tmp_path: Path) -> None:
    kind, text = EXAMPLES[number]
    for document in documents(text.encode()):
        for at in leaves(document):
            spoilt = put(document, at, {"zzz": ["x"]})
            assert faults(kind, spoilt), f"at {at}"
            assert codes_of(kind, spoilt, tmp_path), f"at {at}"
