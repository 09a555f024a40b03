"""The words of messages: what they say, how they are cut, and that operators' templates see what the body has."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.channels.email import HTML
from imd.channels.said import read
from imd.channels.slack import MRKDWN, RICH
from imd.channels.text import (
    PLAIN,
    Dialect,
    Writer,
    cut,
    labels_text,
    one_line,
    paragraph,
    safe_url,
    span,
    utf8,
    utf16,
    values,
)
from imd.config.channelsettings import Templates
from imd.config.templatekeys import sample
from imd.model.effect import Delivery
from imd.model.policy import PageKind, PageReason
from imd.model.template import Template
from tests.channels.samples import delivery, digest, enormous, hostile, message, trial

DIALECTS = {"plain": PLAIN, "mrkdwn": MRKDWN, "rich": RICH, "html": HTML}


def body(kind: PageKind = PageKind.PAGE, **changes: object) -> list[str]:
    writer = Writer()
    return writer.body(writer.message(message(kind, **changes))).split("\n")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (PageReason.ESCALATED, "Nobody answered yet: escalated to chat."),
        (PageReason.REPEATED, "Nobody has it: paged again."),
        (PageReason.RAISED, "Raised to P2."),
        (PageReason.REOPENED, "It is back."),
        (PageReason.ACK_LAPSED, "The acknowledgement ran out."),
        (PageReason.FLAPPING, "An alert keeps coming and going."),
        (PageReason.FIRST, "Priority: P2"),
    ],
)
def test_a_page_says_why_it_comes(reason: PageReason, sentence: str) -> None:
    assert body(reason=reason)[0] == sentence


def test_every_reason_has_its_words() -> None:
    for reason in PageReason:
        assert body(reason=reason)


def test_an_end_says_why() -> None:
    assert body(PageKind.RESOLVED)[0] == "Resolved after 12m 7s: alerts resolved."
    assert body(PageKind.RESOLVED, resolved_because="no longer reported")[0].endswith(": no longer reported.")
    assert body(PageKind.RESOLVED, merged_into="i000000000009")[0] == "Merged into i000000000009."


def test_a_note_is_its_text_alone() -> None:
    """And its links: what is known already is not said again."""
    lines = body(PageKind.NOTE, note="first line\nsecond\n\n" + "x" * 3000)
    assert lines[:2] == ["Note: first line", "second"]
    assert lines[2] == "x" * 999 + "…"
    assert lines[3:] == [
        "Incident: https://imd.example/v1/incidents/i000000000001",
        "Runbook: https://wiki.example/node-loss",
    ]


def test_a_digest_and_a_test_page() -> None:
    writer = Writer()
    assert writer.body(writer.message(digest())).split("\n")[1] == "• P2 #2 node n2 lost (triggered)"
    cut_short = msgspec.json.decode(digest().body) | {"truncated": 97}
    shown = msgspec.structs.replace(digest(), body=msgspec.json.encode(cut_short))
    assert writer.body(writer.message(shown)).split("\n")[-1] == "… and 97 more"
    assert writer.message(digest()).headline == "DIGEST P2 3 incidents"
    assert writer.body(writer.message(trial())) == "is this thing on?\nA test page by ana."


def test_a_body_from_another_version_or_none_says_the_headline() -> None:
    """An outbox may hold what an older imd wrote."""
    writer = Writer()
    for stored in (b"{}", b"[]", b"{", b'{"incident":{"number":"x"}}', b'{"incident":{"new":1}}', b"\xff"):
        old = writer.message(delivery(body=stored))
        assert old.headline == "PAGE P2 #1 node lost"
        assert writer.body(old) is not None
    assert read(delivery(body=b'{"incident":{"number":7,"new":{}}}')).incident.number == 7  # type: ignore[union-attr]


@given(
    room=st.integers(0, 4000), dialect=st.sampled_from(sorted(DIALECTS)), measure=st.sampled_from([len, utf8, utf16])
)
def test_whatever_the_room_it_is_kept(room: int, dialect: str, measure: object) -> None:
    """And no line is cut in its marks: what HTML opens it closes."""
    writer = Writer()
    for each in (hostile(), message(), message(PageKind.NOTE, note="n" * 500)):
        text = writer.body(writer.message(each), DIALECTS[dialect], room, measure)  # type: ignore[arg-type]
        assert measure(text) <= room  # type: ignore[operator]
        if dialect == "html":
            assert text.count("<b>") == text.count("</b>")
            assert text.count("<a ") == text.count("</a>")
            assert "<script" not in text


def test_alerts_go_first_and_are_counted() -> None:
    """Then links, then facts; the title's line stays."""
    writer = Writer()
    told = writer.message(enormous())
    text = writer.body(told, PLAIN, 5000, head=told.headline)
    lines = text.split("\n")
    assert lines[0] == told.headline
    counted = next(line for line in lines if line.startswith("… and "))
    assert int(counted.split()[2]) == 200 - sum(line.startswith("• ") for line in lines)
    assert writer.body(told, PLAIN, len(told.headline), head=told.headline) == told.headline


def test_templates_see_what_the_body_has() -> None:
    """The samples that `check` tries templates on have the very fields of real values."""
    page = message()
    real = values(page, read(page), "title")
    for rich in (True, False):
        made = sample(rich)
        assert set(made) >= set(real)
        assert set(made["incident"]) == set(real["incident"])
        for alert in made["alerts"]:
            assert set(alert) == set(real["alerts"][0])
        assert set(made["links"]) == set(real["links"])


def test_an_operators_words() -> None:
    """The title is one plain line; the body's own line breaks become the channel's; what is inserted is escaped."""
    title = Template("{{ labels.cluster }}:\n {{ firing }}")
    text = Template("<i>{{ headline }}</i>\n{% for a in alerts %}{{ a.labels.pod }} {% endfor %}")
    writer = Writer(Templates(title=title, body=text))
    told = writer.message(message(labels={"cluster": "<c1>"}))
    assert (told.title, told.headline) == ("<c1>: 2", "PAGE P2 #1 <c1>: 2")
    assert writer.body(told, HTML) == (
        "<i>PAGE P2 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status</i><br>\nweb-0 web-1 "
    )


def test_an_operators_text_too_long_for_html_is_the_built_in_one() -> None:
    """Cut HTML would not be HTML. Elsewhere it is cut between lines."""
    failed: list[str] = []
    writer = Writer(
        Templates(body=Template("<b>{% for a in range(500) %}word\n{% endfor %}</b>")), lambda w, _: failed.append(w)
    )
    told = writer.message(message())
    assert "Priority" in writer.body(told, HTML, 1000)
    assert failed == ["body"]
    plain = writer.body(told, PLAIN, 1000)
    assert len(plain) <= 1000
    assert plain.endswith("word\n…")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://imd.example/v1/incidents/i1?a=b&c=%20#x", "https://imd.example/v1/incidents/i1?a=b&c=%20#x"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("https://x/>|<!channel>", "https://x/%3E%7C%3C!channel%3E"),
        ("https://x/)[y](z", "https://x/%29[y]%28z"),
        ('https://x/" onclick="y', "https://x/%22%20onclick=%22y"),
        ("https://x/\r\ny", "https://x/%0D%0Ay"),
        ("https://ü.example/ü", "https://%C3%BC.example/%C3%BC"),
        ("//x", ""),
        ("http://[", ""),
    ],
)
def test_only_safe_urls_become_links(url: str, safe: str) -> None:
    assert safe_url(url) == safe


@given(st.text(), st.integers(0, 40), st.sampled_from([len, utf8, utf16]))
def test_cut_keeps_to_its_room(text: str, room: int, measure: object) -> None:
    short = cut(text, room, measure)  # type: ignore[arg-type]
    assert measure(short) <= room  # type: ignore[operator]
    if measure(text) <= room:  # type: ignore[operator]
        assert short == text


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    assert one_line(text, 50).isprintable()
    assert len(one_line(text, 50)) <= 50
    assert all(line.isprintable() for line in paragraph(text).split("\n"))


def test_small_words() -> None:
    assert [span(timedelta(seconds=each)) for each in (-5, 0, 59, 3600, 90_061)] == ["0s", "0s", "59s", "1h", "1d 1h"]
    assert labels_text({f"l{n}": "v" for n in range(10)}).endswith("l7=v …")


def test_dialects_escape_by_themselves() -> None:
    """Whatever is escaped holds nothing that opens a mark."""
    for name, dialect in DIALECTS.items():
        assert isinstance(dialect, Dialect)
        if name != "plain" and name != "rich":
            assert "<" not in dialect.escape("<b>")


def test_who_ended_it_is_said_as_one_says_it() -> None:
    """By a person, or for a reason."""
    said = [
        Writer().body(Writer().message(message(PageKind.RESOLVED, resolved_because=because))).split("\n")[0]
        for because in ("by zoe", 'by zoe: "disk changed"', "no longer reported", "")
    ]
    assert said == [
        "Resolved after 12m 7s by zoe.",
        'Resolved after 12m 7s by zoe: "disk changed".',
        "Resolved after 12m 7s: no longer reported.",
        "Resolved after 12m 7s.",
    ]


def storm(many: int) -> Delivery:
    """A digest of so many incidents."""
    incidents = [
        {"number": n, "title": f"node n{n} <b>lost</b> @all", "priority": "P2", "state": "triggered"}
        for n in range(1, many + 1)
    ]
    return msgspec.structs.replace(digest(), body=msgspec.json.encode({"kind": "digest", "incidents": incidents}))


@pytest.mark.parametrize("dialect", [PLAIN, HTML, MRKDWN, RICH], ids=["plain", "html", "slack", "rich"])
@pytest.mark.parametrize("many", [3, 11, 60, 500])
@pytest.mark.parametrize("room", [200, 1024, 4096, 20_000, 100_000])
def test_a_digest_names_whatever_it_has_room_for(dialect: Dialect, many: int, room: int) -> None:
    """The most urgent by title, the others by number, the rest counted; never more than fits, and nothing twice."""
    writer = Writer()
    said = writer.built_in(writer.message(storm(many)), dialect, room, utf8)
    assert len(said.encode()) <= room
    plain = said.replace("&lt;", "<").replace("&gt;", ">")
    lines = len(re.findall(r"node n\d+ ", plain))
    named = [int(number) for number in re.findall(r"#(\d+)\b", plain)]
    assert named == list(range(1, len(named) + 1)), "in order, each once"
    assert lines >= min(many, 10) or room < 1024
    left = re.search(r"and (\d+) more", plain)
    assert lines + (int(left[1]) if left else 0) == many
    assert plain.rstrip().endswith("…") == (lines < len(named) < many)
    if room >= 4096:
        assert len(named) == many, "all numbers have room"
