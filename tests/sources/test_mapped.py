"""Maps: paths, texts, values, times, and what becomes of a body by them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path as File
from typing import Any

import pytest

from imd.config.load import load
from imd.model.alert import AlertReport
from imd.model.bodymap import BadPath, Every, Field, Having, parse_path, parse_text
from imd.model.policy import Source
from imd.sources import decode
from imd.sources.contract import BadBody, Decoded, Limits
from imd.sources.mapped import At, fields, find, found_text, render
from imd.sources.moments import read_instant

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BODY: dict[str, Any] = {
    "site": "eu",
    "job": {"name": "nightly", "tags": ["a", 2, None, ["x"], {"y": 1}], "ok": False, "took": 1.5, "blank": "  "},
    "dims": [{"name": "Bucket", "value": "b1"}, {"name": "Host", "value": "h1"}],
    "a.b": {"c d": "odd"},
}


def source(tmp_path: File, lines: str, **limits: int) -> Source:
    """The source that a config of these lines of `map:` makes."""
    text = "receivers: [{name: c, type: console}]\nsources:\n- name: jobs\n  type: mapped\n  labels: {dc: d1}\n  map:\n"
    (tmp_path / "config.yaml").write_text(text + "".join(f"    {line}\n" for line in lines.strip().splitlines()))
    return load(tmp_path / "config.yaml", (), {}).ruleset.sources["jobs"]


def one(decoded: Decoded) -> AlertReport:
    assert not decoded.rejected, decoded.rejected
    assert len(decoded.alerts) == 1
    return decoded.alerts[0]


def labels(report: AlertReport) -> dict[str, str]:
    return dict(json.loads(report.labels or report.identity.canonical))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("site", "eu"),
        ("job.name", "nightly"),
        ("job.tags", "a, 2"),
        ("job.tags[0]", "a"),
        ("job.tags[-1].y", "1"),
        ("job.tags[9]", ""),
        ("job.tags[*]", "a, 2"),
        ("job.ok", "false"),
        ("job.took", "1.5"),
        ("job.blank", ""),
        ("job", ""),
        ("job.nothing.at.all", ""),
        ("site.name", ""),
        ("dims[name=Host].value", "h1"),
        ("dims[name=None].value", ""),
        ("dims[*].value", "b1, h1"),
        ('["a.b"]["c d"]', "odd"),
        ("$.site", "eu"),
        ("@x-kind", "push"),
        ("@absent", ""),
    ],
)
def test_a_path_leads_to_a_text(path: str, text: str) -> None:
    assert found_text(parse_path(path), At(BODY, BODY, {"X-Kind": "push"})) == text


def test_dot_is_the_alert_itself() -> None:
    assert found_text(parse_path("."), At("plain", BODY, {})) == "plain"
    assert find(parse_path("$"), At("plain", BODY, {})) is BODY


@pytest.mark.parametrize(
    ("path", "offset"),
    [
        ("", 0),
        ("a.", 2),
        ("a..b", 2),
        (".a", 0),
        ("a[", 1),
        ("a[x", 1),
        ("a[1]b", 4),
        ("$a", 1),
        ("@", 1),
        ("a b.{", 4),
    ],
)
def test_a_fault_of_a_path_says_where(path: str, offset: int) -> None:
    with pytest.raises(BadPath) as caught:
        parse_path(path)
    assert caught.value.offset == offset


def test_names_may_hold_blanks_and_dashes() -> None:
    assert parse_path("load avg.on-call").steps == (Field("load avg"), Field("on-call"))
    assert parse_path("a[ name = x y ][*]").steps == (Field("a"), Having("name", "x y"), Every())
    with pytest.raises(BadPath):
        parse_path("a" + "[0]" * 40)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{site}/{job.name}", "eu/nightly"),
        ("plain", "plain"),
        ("{{{site}}}", "{eu}"),
        ("{site}/{absent}", ""),
        ("{ site }", "eu"),
        ("", ""),
    ],
)
def test_a_text_is_whole_or_absent(text: str, shown: str) -> None:
    assert render(parse_text(text), At(BODY, BODY, {})) == shown


@pytest.mark.parametrize(("text", "offset"), [("a {", 2), ("a }", 2), ("{}", 1), ("x{a..b}", 4)])
def test_a_fault_of_a_text_says_where(text: str, offset: int) -> None:
    with pytest.raises(BadPath) as caught:
        parse_text(text)
    assert caught.value.offset == offset


SECOND = datetime(2024, 3, 9, 13, 34, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1709991285", SECOND),
        ("1709991285.873", SECOND + timedelta(milliseconds=873)),
        ("1709991285873", SECOND + timedelta(milliseconds=873)),
        ("1709991285873000", SECOND + timedelta(milliseconds=873)),
        ("1709991285873000000", SECOND + timedelta(milliseconds=873)),
        ("2024-03-09T13:34:45Z", SECOND),
        ("2024-03-09T14:34:45.000000123+01:00", SECOND),
        ("2024-03-09T13:34:45+00:00Z", SECOND),
        ("2024-03-09T08:34:45.5-0500", SECOND + timedelta(milliseconds=500)),
        ("2024-03-09 13:34:45", SECOND),
        ("2024-03-09 13:34:45 UTC", SECOND),
        ("2024.03.09 13:34:45", SECOND),
        ("2024/3/9 13:34", SECOND.replace(second=0)),
        ("2024-03-09", datetime(2024, 3, 9, tzinfo=UTC)),
        ("0", None),
        ("", None),
        ("soon", None),
        ("2024-13-09T13:34:45Z", None),
        ("2024-03-09T25:34:45Z", None),
        ("2024-03-09T13:34:45+99:99", None),
        ("999999999999999999999", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("1" * 200, None),
        ("١٧٠٩٩٩١٢٨٥", None),
    ],
)
def test_instants_are_read_or_absent(text: str, expected: datetime | None) -> None:
    assert read_instant(text) == expected


def test_instants_of_a_given_form_and_zone() -> None:
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")
    assert read_instant("09.07.2024 15:34:45", berlin, "%d.%m.%Y %H:%M:%S") == datetime(
        2024, 7, 9, 13, 34, 45, tzinfo=UTC
    )
    assert read_instant("2024-07-09 15:34:45", berlin) == datetime(2024, 7, 9, 13, 34, 45, tzinfo=UTC)
    assert read_instant("yesterday", berlin, "%d.%m.%Y") is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": "1", "b": 2, "c": {"d": 1}, "": "x", "e": None}, [("a", "1"), ("b", "2")]),
        ([{"name": "a", "value": "1"}, {"key": "b", "value": 2}, {"value": "3"}], [("a", "1"), ("b", "2")]),
        (["env:prod", "team=infra", "lone", 5], [("env", "prod"), ("team", "infra"), ("tags", "lone, 5")]),
        ("env:prod, url:http://x:1/", [("env", "prod"), ("url", "http://x:1/")]),
        ([["browser", "Chrome"], ["x"]], [("browser", "Chrome")]),
        (None, []),
        (7, []),
    ],
)
def test_fields_of_objects_and_lists(value: object, found: list[tuple[str, str]]) -> None:
    assert list(fields(value, "tags")) == found


JOBS = """
each: jobs
json: [extra]
ignore: 'state="running"'
resolved: 'state=~"ok|skipped"'
firing: 'state=~"failed|late"'
key: '{$.site}/{host}/{name}'
labels:
  alertname: Backup
  host: '{host}'
  what: {from: '{name}', regex: '(?P<kind>[a-z]+)-.*', replacement: 'a ${kind}'}
  severity: {from: '{prio}', table: {1: critical, LOW: info}, default: warning}
labels_from: [tags]
annotations: {summary: ['{message}', '{name} on {host}: {state}'], extra: '{$.extra.why}'}
at: '{when}'
url: '{$.link}'
"""


def test_one_body_of_many_alerts(tmp_path: File) -> None:
    """Each is what its map says; good ones beside bad ones are kept, and what says nothing is told apart."""
    jobs = [
        {"host": "h1", "name": "db-full", "state": "failed", "prio": 1, "when": 1709991285, "tags": {"team": "infra"}},
        {"host": "h1", "name": "db-full", "state": "ok", "when": 1709991345},
        {"host": "h1", "name": "db-full", "state": "running"},
        {"name": "db-full", "state": "failed"},
        {"host": "h2", "name": "x", "state": "confused", "message": "?"},
        "not a job",
        {"host": "h3", "name": "x", "state": "late", "prio": "low", "message": "late again"},
    ]
    body = {"site": "eu", "link": "https://backup.example/", "extra": '{"why": "disk"}', "jobs": jobs}
    decoded = decode(source(tmp_path, JOBS), json.dumps(body).encode(), NOW)
    assert [decoded.position(index) for index in range(3)] == [0, 1, 6]
    assert [(part.index, part.reason.value, part.error) for part in decoded.rejected] == [
        (3, "required", "no key: nothing stands at $.site or host or name"),
        (4, "status", 'neither firing nor resolved: state is "confused"'),
        (5, "schema", "text where an object must stand"),
    ]
    assert [(part.index, part.error) for part in decoded.ignored] == [
        (2, 'says nothing of an alert: state is "running"')
    ]
    fired, ended, late = decoded.alerts
    assert fired.identity == ended.identity
    assert fired.identity.labels() == {"key": "eu/h1/db-full", "dc": "d1"}
    assert labels(fired) == {
        "alertname": "Backup", "host": "h1", "what": "a db", "severity": "critical", "team": "infra", "dc": "d1",
        "key": "eu/h1/db-full",
    }  # fmt: skip
    assert json.loads(fired.annotations) == {"summary": "db-full on h1: failed", "extra": "disk"}
    assert (fired.resolved, fired.starts_at, fired.ends_at, fired.event_time) == (False, SECOND, None, True)
    assert (ended.resolved, ended.starts_at, ended.ends_at) == (True, None, SECOND + timedelta(minutes=1))
    assert fired.generator_url == "https://backup.example/"
    assert (labels(late)["severity"], json.loads(late.annotations)["summary"]) == ("info", "late again")
    assert "what" not in labels(late)


def test_the_same_bytes_are_known_and_mean_the_same(tmp_path: File) -> None:
    """A repeat goes by the cache and a changed label is seen."""
    made = source(tmp_path, JOBS)
    body = b'{"site": "e", "jobs": [{"host": "h", "name": "n", "state": "late", "prio": %d}]}'
    from imd.sources import DECODERS
    from imd.sources.labels import KnownLabels

    decoder = DECODERS["mapped"](KnownLabels({}), made)
    first, again, other = (one(decoder.decode(body % prio, NOW)) for prio in (1, 1, 2))
    assert first == again
    assert (labels(first)["severity"], labels(other)["severity"]) == ("critical", "warning")
    assert first.identity == other.identity


def test_without_a_key_the_labels_are_the_identity(tmp_path: File) -> None:
    """But for severity, which may rise without making it another alert."""
    made = source(tmp_path, "labels: {alertname: '{name}', host: '{host}', severity: '{level}'}")
    low, high = (
        one(decode(made, json.dumps({"name": "Disk", "host": "h", "level": level}).encode(), NOW))
        for level in ("warning", "critical")
    )
    assert low.identity == high.identity
    assert low.identity.labels() == {"alertname": "Disk", "host": "h", "dc": "d1"}
    assert labels(high)["severity"] == "critical"
    refused = decode(made, b'{"other": 1, "level": "high"}', NOW).rejected
    assert [part.error for part in refused] == ["no label: nothing stands at name, host, level"]


def test_several_maps_and_a_body_that_none_takes(tmp_path: File) -> None:
    lines = """
- {when: 'kind="disk"', key: '{id}', labels: {alertname: Disk}, resolved: 'over="true"'}
- {when: 'kind="net"', key: '{id}', labels: {alertname: Net}}
"""
    made = source(tmp_path, lines)
    assert labels(one(decode(made, b'{"kind": "net", "id": 7}', NOW)))["alertname"] == "Net"
    assert one(decode(made, b'{"kind": "disk", "id": 7, "over": true}', NOW)).resolved
    with pytest.raises(BadBody, match='nothing that this source understands: kind is "sun"'):
        decode(made, b'{"kind": "sun"}', NOW)
    with pytest.raises(BadBody, match="a list where an object must stand"):
        decode(made, b"[]", NOW)


def test_a_list_at_the_top_and_lists_in_lists(tmp_path: File) -> None:
    made = source(tmp_path, "each: .\nlabels: {alertname: '{n}'}")
    assert [labels(alert)["alertname"] for alert in decode(made, b'[{"n": 1}, {"n": 2}]', NOW).alerts] == ["1", "2"]
    assert decode(made, b"[]", NOW) == Decoded([], [])
    made = source(tmp_path, "each: 'groups[*].items[*]'\nlabels: {alertname: '{.}'}")
    body = {"groups": [{"items": ["a", "b"]}, {"items": ["c"]}, {"other": 1}]}
    assert len(decode(made, json.dumps(body).encode(), NOW).alerts) == 3
    assert decode(made, b'{"groups": []}', NOW) == Decoded([], [])
    made = source(tmp_path, "each: items\nlabels: {alertname: '{n}'}")
    with pytest.raises(BadBody, match="nothing stands at items"):
        decode(made, b'{"n": 1}', NOW)
    assert len(decode(made, b'{"items": {"n": 1}}', NOW).alerts) == 1  # one that is no list is the only one


def test_forms_and_what_curl_calls_one(tmp_path: File) -> None:
    made = source(tmp_path, "key: '{id}'\nlabels: {alertname: '{Name}', tags: '{Tags}'}\nresolved: 'Status=\"Up\"'")
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    report = one(decode(made, b"id=7&Name=My+Site%21&Status=Up&Tags=&id=8", NOW, form))
    assert (labels(report)["alertname"], report.resolved) == ("My Site!", True)
    assert report.identity.labels()["key"] == "7"
    assert one(decode(made, b' {"id": 7, "Name": "x"}', NOW, form)).identity == report.identity
    with pytest.raises(BadBody, match="not a form"):
        decode(made, b"&".join(b"a=1" for _ in range(2000)), NOW, form)
    with pytest.raises(BadBody, match="not JSON"):
        decode(made, b"id=7", NOW)
    assert one(decode(made, b'\xef\xbb\xbf{"id": 7, "Name": "x"}', NOW)).identity == report.identity


def test_bounds(tmp_path: File) -> None:
    """Depth, number of alerts, labels and their length: refused by name, or kept as what it can be."""
    made = source(tmp_path, "each: .\nlabels: {alertname: '{n}'}\nlabels_from: [tags]")
    with pytest.raises(BadBody, match="nested deeper than 32"):
        decode(made, b'{"n":' + b"[" * 40 + b"]" * 40 + b"}", NOW)
    with pytest.raises(BadBody, match="more than 100000 alerts"):
        decode(made, b"[" + b"1," * 100_000 + b"1]", NOW)
    assert "longer than 4096 bytes" in decode(made, json.dumps({"n": "x" * 5000}).encode(), NOW).rejected[0].error
    body = {"n": "x", "tags": {f"t{n}": "v" for n in range(40)} | {"long": "y" * 600, "key": "mine", "two": "a\nb"}}
    report = one(decode(made, json.dumps(body).encode(), NOW, limits=Limits(labels_max=20)))
    assert len(labels(report)) <= 20 + 2  # the source's own, and severity
    notes = json.loads(report.annotations)
    assert (notes["two"], len(notes["long"]), notes["key"], notes["t39"]) == ("a\nb", 600, "mine", "v")
    kept = {name for name in (*labels(report), *notes) if name[:1] == "t" and name[1:].isdigit()}
    assert len(kept) == 40


def test_an_end_before_the_start_says_nothing(tmp_path: File) -> None:
    lines = "key: '{id}'\nlabels: {alertname: a}\nresolved: 'up=\"1\"'\nstarts_at: '{from}'\nends_at: '{to}'"
    made = source(tmp_path, lines)
    report = one(decode(made, b'{"id": 1, "up": 1, "from": 1709991285, "to": 1609991285}', NOW))
    assert (report.starts_at, report.ends_at) == (SECOND, None)
    fires = one(decode(made, b'{"id": 1, "up": 0, "from": 1709991285, "to": 1609991285}', NOW))
    assert (fires.starts_at, fires.ends_at, fires.event_time) == (SECOND, None, False)
