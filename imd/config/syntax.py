"""The small grammars: durations, times of day, matchers.

Owns turning one text into one value, or a reason with the column inside the text. Knows nothing of files. The API
reads the filters of its requests with the same functions.

Matchers are Alertmanager's, read as its default mode does (matcher/compat, 0.34, read 2026-11-21): the UTF-8 grammar
first, the classic one where that fails, and the classic result where the two disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache, partial
from typing import NamedTuple

from imd.config.wording import quote
from imd.model.rule import BadPattern, Matcher, Op, full_match

_UNITS = {"y": 365 * 86_400_000, "w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _UNITS))
_DURATION_PART = re.compile("[0-9]+(ms|[ywdhms])")
_DURATION_CHARS_MAX = 64
_DURATION_MS_MAX = (2**63 - 1) // 1_000_000  # Prometheus counts nanoseconds in 64 bits
_TIME_OF_DAY = re.compile("([01][0-9]|2[0-4]):([0-5][0-9])")
MATCHER_CHARS_MAX = 16_384


class _Unread(ValueError):
    """`offset` counts characters from 0 inside the text."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(reason)
        self.offset = offset


class BadDuration(_Unread):
    """Not a duration; the text says why."""


class BadTimeOfDay(_Unread):
    """Not a time of day; the text says why."""


class BadMatcher(_Unread):
    """Not a matcher. The fault has `length` characters, None: all that follow. `regex` marks a fault of the regular
    expression rather than of the matcher around it."""

    def __init__(self, reason: str, offset: int = 0, regex: bool = False, length: int | None = None) -> None:
        super().__init__(reason, offset)
        self.regex = regex
        self.length = length


def parse_duration(text: str) -> timedelta:
    """A Prometheus duration: `500ms`, `30s`, `1h30m`, `0`; each unit at most once, from the largest to the smallest.

    A year is 365 days, a week 7, a day 24 hours. Raises BadDuration.
    """
    if text == "0":
        return timedelta(0)
    found = _DURATION.fullmatch(text) if 0 < len(text) <= _DURATION_CHARS_MAX else None
    if found is None:
        raise _bad_duration(text)
    milliseconds = sum(
        int(digits) * size for digits, size in zip(found.groups(), _UNITS.values(), strict=True) if digits
    )
    if milliseconds > _DURATION_MS_MAX:
        raise BadDuration("longer than 292 years")
    return timedelta(milliseconds=milliseconds)


def _bad_duration(text: str) -> BadDuration:
    if not text:
        return BadDuration("it is empty")
    if text.isdigit():
        return BadDuration("it has no unit")
    known = list(_UNITS)
    last, read = -1, 0
    for found in _DURATION_PART.finditer(text):
        if found.start() != read:
            break
        if known.index(found[1]) <= last:
            return BadDuration("units must go from the largest to the smallest, each once", read)
        last, read = known.index(found[1]), found.end()
    if len(text) > _DURATION_CHARS_MAX:
        return BadDuration("it is too long", _DURATION_CHARS_MAX)
    return BadDuration("it is not numbers with units", read)


def format_duration(value: timedelta) -> str:
    """The shortest text that parse_duration reads as `value` (whole milliseconds): `1h30m`, `0s`. Weeks and years are
    written only where nothing is left over, as Prometheus does."""
    rest = value // timedelta(milliseconds=1)
    if rest == 0:
        return "0s"
    words = []
    for unit, size in _UNITS.items():
        if (unit in ("y", "w") and rest % size) or rest < size:
            continue
        words.append(f"{rest // size}{unit}")
        rest %= size
    return "".join(words)


def parse_time_of_day(text: str) -> timedelta:
    """`09:00` as the time since midnight; `24:00` is the day's end. Raises BadTimeOfDay."""
    found = _TIME_OF_DAY.fullmatch(text)
    if found is None or (found[1] == "24" and found[2] != "00"):
        hour = re.match("([01][0-9]|2[0-4])(:|$)", text)
        raise BadTimeOfDay("expected HH:MM from 00:00 to 24:00", min(len(hour[0]), len(text)) if hour else 0)
    return timedelta(hours=int(found[1]), minutes=int(found[2]))


def valid_label_name(name: str, classic: bool = False) -> bool:
    """Alertmanager's rule: any UTF-8 text that is not empty; `classic`: letters, digits and _, no digit first."""
    if classic:
        return _CLASSIC_NAME.fullmatch(name) is not None
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name)


def parse_matcher(text: str) -> Matcher:
    """Exactly one matcher, without braces, as in a filter of GET /api/v2/alerts. Raises BadMatcher."""
    _refuse_long(text)
    if text.startswith("{") or text.endswith("}"):
        raise BadMatcher("braces are not taken here", 0 if text.startswith("{") else len(text) - 1)
    return one_of(_by_either(lambda: (parse_classic_matcher(text),), text))


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """None, one or more matchers, all of which must hold: `{a="b", c!~"d"}`, the braces optional. Raises BadMatcher."""
    _refuse_long(text)
    return _by_either(lambda: parse_classic(text), text)


def _by_either(classic: Callable[[], tuple[Matcher, ...]], text: str) -> tuple[Matcher, ...]:
    """Where both grammars take the text the classic result stands, so the UTF-8 one is needed only where it fails. Then
    the UTF-8 one's faults tell more, but for a regex whose classic escapes it does not read."""
    try:
        return classic()
    except BadMatcher as error:
        try:
            return parse_utf8(text)
        except BadMatcher as other:
            raise (error if error.regex and not other.regex else other) from None


def one_of(matchers: tuple[Matcher, ...]) -> Matcher:
    """The only matcher. Raises BadMatcher for none and for several."""
    if len(matchers) == 1:
        return matchers[0]
    raise BadMatcher("no matcher" if not matchers else f"expected one matcher, found {len(matchers)}")


def matcher_object(matcher: Matcher) -> dict[str, str | bool]:
    """The matcher as Alertmanager's API shows it: name, value, isRegex, isEqual."""
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in (Op.REGEX, Op.NOT_REGEX),
        "isEqual": matcher.op in (Op.EQUAL, Op.REGEX),
    }


def matcher_from_object(name: str, value: str, is_regex: bool, is_equal: bool = True) -> Matcher:
    """The matcher that an API object speaks of; isEqual is true where the sender leaves it out. Raises BadMatcher."""
    op = (Op.REGEX if is_equal else Op.NOT_REGEX) if is_regex else (Op.EQUAL if is_equal else Op.NOT_EQUAL)
    return _matcher(name, op, value, lambda at: at)


def _refuse_long(text: str) -> None:
    if len(text) > MATCHER_CHARS_MAX:
        raise BadMatcher(f"longer than {MATCHER_CHARS_MAX} characters", MATCHER_CHARS_MAX)


def _matcher(name: str, op: Op, value: str, place: Callable[[int], int]) -> Matcher:
    """`place` says where in the text a character of the value stands; it is asked for faults alone."""
    if op in (Op.REGEX, Op.NOT_REGEX):
        fault = _pattern_fault(value)
        if fault is not None:
            reason, offset, length = fault
            said = f"{quote(value)} is not a regular expression: {reason}"
            if offset is None:
                raise BadMatcher(said, place(0), True)
            start = place(min(offset, len(value)))
            raise BadMatcher(said, start, True, max(1, place(min(offset + length, len(value))) - start))
    return Matcher(name, op, value)


@lru_cache(maxsize=1024)
def _pattern_fault(pattern: str) -> tuple[str, int | None, int] | None:
    try:
        full_match(pattern)
    except BadPattern as error:
        return str(error), error.offset, error.length
    return None


# The UTF-8 grammar.

_RESERVED = frozenset("{}!=~,\\\"'`")
_OPS = {op.value: op for op in Op}
_GO_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_GO_NUMERIC = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")


class _Token(NamedTuple):
    """`kind` is one of: { } , op word quoted end."""

    kind: str
    text: str
    start: int


def parse_utf8(text: str) -> tuple[Matcher, ...]:
    """Matchers by the UTF-8 grammar alone. Raises BadMatcher."""
    tokens = _tokens(text)
    position = 0
    braced = tokens[0].kind == "{"
    if braced:
        position = 1
    matchers: list[Matcher] = []
    while tokens[position].kind not in ("}", "end"):
        matchers.append(_utf8_matcher(tokens[position : position + 3]))
        position += 3
        if tokens[position].kind == ",":
            position += 1
        elif tokens[position].kind not in ("}", "end"):
            raise BadMatcher(f"unexpected {tokens[position].text}, expected a comma", tokens[position].start)
    return _closed(tokens[position:], braced, tuple(matchers))


def _closed(rest: list[_Token], braced: bool, matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    if rest[0].kind == "}":
        if not braced:
            raise BadMatcher("} without {", rest[0].start)
        rest = rest[1:]
    elif braced:
        raise BadMatcher("{ without }", rest[0].start)
    if rest[0].kind != "end":
        raise BadMatcher(f"unexpected {rest[0].text} after the end", rest[0].start)
    return matchers


def _utf8_matcher(tokens: list[_Token]) -> Matcher:
    name = tokens[0]
    if name.kind not in ("word", "quoted"):
        raise BadMatcher(f"unexpected {name.text}, expected a label name", name.start)
    op = tokens[1]
    if op.kind != "op":
        raise BadMatcher("expected an operator: one of = != =~ !~", op.start)
    value = tokens[2]
    if value.kind not in ("word", "quoted"):
        found = f"unexpected {value.text}, " if value.text else ""
        raise BadMatcher(f"{found}expected a label value", value.start)
    return _matcher(_unquoted(name), _OPS[op.text], _unquoted(value), partial(_place_in, value))


def _tokens(text: str) -> list[_Token]:
    """All tokens and three `end` ones, so that a reader may look ahead by a matcher's length."""
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        char = text[position]
        if _is_space(char):
            position += 1
            continue
        token = _token(text, position, char)
        tokens.append(token)
        position += len(token.text)
    return tokens + [_Token("end", "", len(text))] * 3


def _token(text: str, position: int, char: str) -> _Token:
    if char in "{},":
        return _Token(char, char, position)
    if char in "=!":
        op = text[position : position + 2]
        if op in _OPS:
            return _Token("op", op, position)
        if char == "=":
            return _Token("op", char, position)
        raise BadMatcher("expected an operator: one of = != =~ !~", position)
    if char == '"':
        return _quoted(text, position)
    end = position
    while end < len(text) and text[end] not in _RESERVED and not _is_space(text[end]):
        end += 1
    if end == position and text[position : position + 2] == "~=":
        raise BadMatcher("a regular expression is matched by =~, not ~=", position, length=2)
    if end == position:
        raise BadMatcher(f"{char} must stand in double quotes", position)
    return _Token("word", text[position:end], position)


def _quoted(text: str, start: int) -> _Token:
    end = start + 1
    while end < len(text) and text[end] != '"':
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise BadMatcher("the double quote is never closed", start)
    return _Token("quoted", text[start : end + 1], start)


def _is_space(char: str) -> bool:
    """Go's unicode.IsSpace; Python counts four separators more."""
    return char.isspace() and not "\x1c" <= char <= "\x1f"


def _unquoted(token: _Token) -> str:
    """Go's strconv.Unquote: escapes are bytes or code points, and the whole must be UTF-8."""
    if token.kind == "word":
        return token.text
    body = token.text[1:-1]
    if "\n" in body:
        raise BadMatcher("a line ends inside the quotes", token.start + 1 + body.index("\n"))
    if "\\" not in body:
        return body
    raw = bytearray()
    position = 0
    while position < len(body):
        if body[position] != "\\":
            raw += body[position].encode("utf-8", "surrogatepass")
            position += 1
            continue
        value, width = _escape(body, position + 1, token.start + 1)
        raw += value
        position += 1 + width
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadMatcher("the escapes do not make UTF-8", token.start) from None


def _place_in(token: _Token, index: int) -> int:
    """Where in the text character `index` of the token's value stands. Escapes may be single bytes of it."""
    if token.kind == "word":
        return token.start + index
    body = token.text[1:-1]
    wanted = len(_unquoted(token)[:index].encode("utf-8", "surrogatepass"))
    position = read = 0
    while position < len(body) and read < wanted:
        if body[position] == "\\":
            value, width = _escape(body, position + 1, token.start + 1)
            read, position = read + len(value), position + 1 + width
        else:
            read, position = read + len(body[position].encode("utf-8", "surrogatepass")), position + 1
    return token.start + 1 + position


def _escape(body: str, position: int, start: int) -> tuple[bytes, int]:
    """The bytes of the escape whose first character after the backslash is at `position`, and its width."""
    simple = _GO_ESCAPES.get(body[position])
    if simple is not None:
        return bytes((simple,)), 1
    found = _GO_NUMERIC.match(body, position)
    if found is None:
        raise BadMatcher(f"\\{body[position]} is not an escape; write \\\\ for a backslash", start + position - 1)
    width = found.end() - position
    if found[1] or found[4]:
        number = int(found[1], 16) if found[1] else int(found[4], 8)
        if number > 0xFF:
            raise BadMatcher(f"\\{found[0]} is more than a byte", start + position - 1)
        return bytes((number,)), width
    number = int(found[2] or found[3], 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise BadMatcher(f"\\{found[0]} is no character", start + position - 1)
    return chr(number).encode(), width


# The classic grammar.

_CLASSIC_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_GO_REGEX_SPACE = "\t\n\f\r "
_CLASSIC_HEAD = re.compile(f"[{_GO_REGEX_SPACE}]*([a-zA-Z_][a-zA-Z0-9_]*)[{_GO_REGEX_SPACE}]*(=~|=|!=|!~)")


def parse_classic(text: str) -> tuple[Matcher, ...]:
    """Matchers by the classic grammar alone. Raises BadMatcher, at offset 0 unless a regex is at fault."""
    braced = text.startswith("{")
    text = text.removeprefix("{").removesuffix("}")
    return tuple(parse_classic_matcher(part, start + braced) for start, part in _classic_parts(text))


def _classic_parts(text: str) -> list[tuple[int, str]]:
    """The text between commas outside double quotes, and where it begins. A last part that is blank does not count."""
    parts: list[tuple[int, str]] = []
    start, quoted, escaped = 0, False, False
    for position, char in enumerate(text):
        if char == "," and not quoted:
            parts.append((start, text[start:position]))
            start = position + 1
        elif char == '"':
            quoted = quoted if escaped else not quoted
            escaped = False
        elif char == "\\":
            escaped = not escaped
        elif char != ",":
            escaped = False
    last = text[start:].lstrip()
    return [*parts, (len(text) - len(last), last.rstrip())] if last else parts


def parse_classic_matcher(text: str, start: int = 0) -> Matcher:
    """One matcher by the classic grammar: OpenMetrics escapes, quotes optional, an empty value allowed.

    `start` is where it begins in a longer text, for faults.
    """
    head = _CLASSIC_HEAD.match(text)
    if head is None:
        raise BadMatcher("not a matcher: expected a label name and one of = != =~ !~")
    raw = text[head.end() :].strip(_GO_REGEX_SPACE)
    begin = head.end() + len(text[head.end() :]) - len(text[head.end() :].lstrip(_GO_REGEX_SPACE))
    value, places = _classic_value(raw)
    return _matcher(head[1], _OPS[head[2]], value, lambda at: start + begin + places[at])


def _classic_value(raw: str) -> tuple[str, list[int]]:
    """The value, and where in `raw` each of its characters and its end stand."""
    quoted = raw.startswith('"')
    value: list[str] = []
    places: list[int] = []
    position, last = int(quoted), len(raw) - 1
    closed = not quoted
    while position <= last:
        char, at = raw[position], position
        if char == "\\" and position < last:
            position += 1
            written = {"n": "\n", '"': '"', "\\": "\\"}.get(raw[position], "\\" + raw[position])
            value.append(written)
            places += [at] if len(written) == 1 else [at, position]
        elif char == '"':
            if closed or position < last:
                raise BadMatcher("a double quote inside the value is not escaped")
            closed = True
        else:
            value.append(char)
            places.append(at)
        position += 1
    if not closed:
        raise BadMatcher("the double quote is never closed")
    return "".join(value), [*places, last if quoted else last + 1]
