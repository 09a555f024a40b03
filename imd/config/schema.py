"""JSON Schemas (draft 2020-12) of config.yaml, rule files and test files, for editors: `imd schema`.

Made of the very tables that the files are checked with, so there is nothing here to keep in step. A schema says less
than `imd check` does: what a matcher or template means, and which names there are, no editor knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from imd.config.configfile import CONFIG
from imd.config.form import ByName, Either, Form, Plain, Several, Table
from imd.config.rulekeys import TOP
from imd.config.shape import Key
from imd.config.testkeys import TEST

DIALECT = "https://json-schema.org/draft/2020-12/schema"

KINDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "config": lambda: _document("imd: config.yaml", "The daemon: where it listens, who sends, who is reached.", CONFIG),
    "rules": lambda: _document("imd: rule files", "What alerts mean, how urgent they are, and who hears of them.", TOP),
    "tests": lambda: _document("imd: *.test.yaml", "What should happen under the rules, and what should not.", TEST),
}
"""What `imd schema` can print."""


def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of file. Keys are in the order of the tables."""
    return KINDS[kind]()


def _document(title: str, description: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    made = _Maker()
    root = made.schema(Table(keys))
    root["type"] = ["object", "null"]  # a file of comments alone
    about = {"$schema": DIALECT, "title": title, "description": description}
    return {**about, **root, **({"$defs": made.named} if made.named else {})}


class _Maker:
    """Makes one document; `named` are the forms that it refers to, by name."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}

    def schema(self, form: Form) -> dict[str, Any]:
        match form:
            case Plain(name=name) | Either(name=name) if name:
                if name not in self.named:
                    self.named[name] = {}  # its place, should it speak of itself
                    self.named[name] = self._own(form)
                return {"$ref": f"#/$defs/{name}"}
            case _:
                return self._own(form)

    def _own(self, form: Form) -> dict[str, Any]:
        match form:
            case Plain(schema=found):
                return dict(found)
            case Either(forms=forms):
                return {"anyOf": [self.schema(one) for one in forms]}
            case Several(of=of, least=least):
                return {"type": "array", "items": self.schema(of), **({"minItems": least} if least else {})}
            case ByName(of=of):
                return {"type": "object", "additionalProperties": self.schema(of)}
            case Table():
                return self._table(form)

    def _table(self, table: Table) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "object", "properties": dict(self._properties(table.keys))}
        needed = [word for word, key in table.keys.items() if key.required and not key.secret]
        if needed:
            made["required"] = needed
        made |= {"additionalProperties": False, **table.also}
        secrets = [_one_of_twins(word, key) for word, key in table.keys.items() if key.secret]
        if secrets:
            made["allOf"] = [*made.get("allOf", []), *secrets]
        return made

    def _properties(self, keys: Mapping[str, Key]) -> Iterator[tuple[str, dict[str, Any]]]:
        for word, key in keys.items():
            yield word, self._key(key)
            if key.secret:
                about = f"The name of a file that holds it, in place of `{word}`: {_first_lower(key.about)}"
                yield f"{word}_file", {"type": "string", "minLength": 1, "description": about}

    def _key(self, key: Key) -> dict[str, Any]:
        form = key.taken()
        made = self.schema(form)
        said = hover(key)
        if said:
            made["description"] = said
        if key.default is not None:
            made["default"] = key.default
        if key.examples:
            made["examples"] = list(key.examples)
        return made


def hover(key: Key) -> str:
    """What an editor shows over the key: its sentence, then what it takes and its default."""
    if not key.about:
        return ""
    form = key.taken()
    said = form_words(form)
    # Editors list the words of an enumeration themselves.
    words = [said] if said and not said.startswith("one of: ") and not isinstance(form, Table) else []
    if isinstance(form, Plain) and form.bounds:
        words.append(form.bounds)
    if key.default is not None:
        words.append(f"default {_written(key.default)}")
    elif key.required:
        words.append("needed")
    return f"{key.about} ({', '.join(words)})" if words else key.about


def form_words(form: Form) -> str:
    """What the form takes, in a few words: `duration`, `list of label names`."""
    match form:
        case Plain(said=said) | Either(said=said) if said:
            return said
        case Several(of=of):
            words = form_words(of)
            return f"list of: {words}" if words else "list"
        case ByName(of=of):
            words = form_words(of)
            return f"map of names to: {words}" if words else "map of names"
        case Table():
            return "map"
        case _:
            return ""


def _written(default: object) -> str:
    """A default as YAML has it."""
    match default:
        case bool():
            return "true" if default else "false"
        case list():
            return "[" + ", ".join(_written(one) for one in default) + "]"
        case dict():
            return "{" + ", ".join(f"{word}: {_written(one)}" for word, one in default.items()) + "}"
        case _:
            return str(default)


def _one_of_twins(word: str, key: Key) -> dict[str, Any]:
    """A secret stands there or in a file; one of the two where it is needed."""
    twins = [{"required": [word]}, {"required": [f"{word}_file"]}]
    return {"oneOf": twins} if key.required else {"not": {"required": [word, f"{word}_file"]}}


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
