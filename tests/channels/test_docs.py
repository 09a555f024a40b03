"""docs/receivers keeps up with the channels: a page for each with all of its keys, whose examples load; the body is the
real one, and so is what templates see."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from imd.channels import CHANNELS
from imd.channels.said import read
from imd.channels.text import values
from imd.config.load import Faulty, load
from imd.config.receiverkeys import TYPES
from tests.channels.samples import message

DOCS = Path(__file__).parents[2] / "docs"
INDEX = (DOCS / "receivers.md").read_text()
SECRET = "0123456789abcdef0123456789abcdef"


def page(kind: str) -> str:
    return (DOCS / f"receivers/{kind}.md").read_text()


def test_there_is_a_page_for_each_type_and_no_other() -> None:
    assert {file.stem for file in (DOCS / "receivers").glob("*.md")} == set(CHANNELS)
    assert all(f"(receivers/{kind}.md)" in INDEX for kind in CHANNELS)


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_page_says_what_to_write_and_what_is_not_promised(kind: str) -> None:
    """Every key has its row; what cannot be guaranteed is said."""
    text = page(kind)
    assert text.startswith(f"# {kind}\n")
    assert "*Not promised:*" in text
    table = text[: text.find("\n\n", text.find("| key |"))] if "| key |" in text else ""
    rows = {
        word
        for line in table.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert rows == set(TYPES[kind].keys)


@pytest.mark.parametrize("kind", CHANNELS)
def test_the_examples_load(kind: str, tmp_path: Path) -> None:
    """With their secrets' files beside them."""
    example = re.search(r"```yaml\n(.*?)```", page(kind), re.DOTALL)
    assert example is not None
    assert {one["type"] for one in yaml.safe_load(example[1])} == {kind}
    loads(example[1], tmp_path)


def loads(receivers: str, folder: Path) -> None:
    for key, name in re.findall(r"(\w+)_file: ([\w.-]+)", receivers):
        (folder / name).write_text("https://hooks.example/x" if key == "url" else SECRET)
    (folder / "rules").mkdir()
    indented = "\n".join(f"  {line}" for line in receivers.splitlines())
    (folder / "config.yaml").write_text(f"receivers:\n{indented}\nrules: [rules]\n")
    try:
        load(folder / "config.yaml", (), {})
    except Faulty as error:
        pytest.fail("\n".join(one.render() for one in error.diagnostics))


def test_the_example_with_templates_loads(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(- name: ops-chat\n.*?)```", INDEX, re.DOTALL)
    assert example is not None
    loads(example[1], tmp_path)


def test_what_templates_see_is_explained() -> None:
    """Every name that is not a field of the body."""
    sent = message()
    names = set(values(sent, read(sent), "")) - set(json.loads(sent.body))
    named = set(re.findall(r"`(\w+)`", INDEX[INDEX.index("## Texts") : INDEX.index("## The body")]))
    assert names <= named


def test_every_field_of_the_body_is_explained() -> None:
    """The table and the example name the same fields."""
    example = re.search(r"```json\n(.*?)```", INDEX, re.DOTALL)
    assert example is not None
    table = INDEX[example.end() :]
    for field in json.loads(example[1]):
        assert f"| `{field}` |" in table, f"docs/receivers.md does not explain {field}"
