"""Short words for the maps of built-in sources, which are the same that operators write in config.yaml.

MAPS = (BodyMap(when=is_("kind", "disk"), key=value("{id}"), labels={"alertname": value("{name}")}),)
"""

from __future__ import annotations

from collections.abc import Mapping

from imd.model.bodymap import Moment, Path, Value, parse_path, parse_text
from imd.model.rule import Match, Matcher, Op


def value(
    *texts: str,
    regex: str | None = None,
    replacement: str = "$1",
    table: Mapping[str, str] | None = None,
    default: str = "",
) -> Value:
    """The first of the texts that is there; rows of the table have lower-case names."""
    return Value(
        texts=tuple(parse_text(text) for text in texts),
        regex=regex,
        replacement=replacement,
        table=None if table is None else dict(table),
        default=default,
    )


def values(**texts: str) -> dict[str, Value]:
    """Labels or annotations, one text each."""
    return {name: value(text) for name, text in texts.items()}


def moment(*texts: str, regex: str | None = None, replacement: str = "$1", pattern: str = "") -> Moment:
    return Moment(value=value(*texts, regex=regex, replacement=replacement), format=pattern)


def path(text: str) -> Path:
    return parse_path(text)


def is_(where: str, words: str) -> Match:
    """What stands there is one of these words (a regex on the whole, whatever the case)."""
    return ((Matcher(where, Op.REGEX, f"(?i){words}"),),)


def is_not(where: str, words: str) -> Match:
    return ((Matcher(where, Op.NOT_REGEX, f"(?i){words}"),),)


def there(where: str) -> Match:
    """Some text stands there."""
    return ((Matcher(where, Op.NOT_EQUAL, ""),),)


def all_of(*conditions: Match) -> Match:
    """Every one of these, each of a single list."""
    return (tuple(matcher for condition in conditions for matchers in condition for matcher in matchers),)


def any_of(*conditions: Match) -> Match:
    return tuple(matchers for condition in conditions for matchers in condition)
