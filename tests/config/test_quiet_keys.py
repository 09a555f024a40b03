"""inhibit, times and maintenance: what a file says becomes what it means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from imd.config.load import check, load_rules
from imd.model.policy import Ruleset
from imd.model.quiet import Inhibition, Maintenance, Once, TimeInterval, Weekly
from imd.model.rule import Matcher, Op

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "alertmanager_semantics.json").read_text())


def rules(folder: Path, *texts: str) -> Ruleset:
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text)
    return load_rules([folder]).ruleset


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def test_the_designs_examples(tmp_path: Path) -> None:
    """As in the design, over two files, which add up."""
    found = rules(
        tmp_path,
        """
inhibit:
  - {name: hides, source: 'alertname="A"', target: 'alertname=~"B.*"', equal: [cluster, node]}
times: {office: {weekly: {weekdays: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00"}, timezone: Europe/Berlin}}
""",
        """
inhibit: [{name: more, source: 'a="b"', target: [['c="d"'], ['e="f"']]}]
maintenance:
  - {name: db, match: 's="d"', weekly: {weekdays: [sun], from: "23:00", to: "02:00"}, timezone: Europe/Berlin,
     reason: "patching"}
  - {name: day, match: 's="d"', during: office}
""",
    )
    office = TimeInterval(
        weekly=(Weekly(weekdays=(0, 1, 2, 3, 4), begins=hours(9), ends=hours(17)),), timezone="Europe/Berlin"
    )
    sunday = TimeInterval(weekly=(Weekly(weekdays=(6,), begins=hours(23), ends=hours(2)),), timezone="Europe/Berlin")
    match = ((Matcher("s", Op.EQUAL, "d"),),)
    assert found.inhibitions == (
        Inhibition(
            name="hides",
            source=((Matcher("alertname", Op.EQUAL, "A"),),),
            target=((Matcher("alertname", Op.REGEX, "B.*"),),),
            equal=("cluster", "node"),
        ),
        Inhibition(
            name="more",
            source=((Matcher("a", Op.EQUAL, "b"),),),
            target=((Matcher("c", Op.EQUAL, "d"),), (Matcher("e", Op.EQUAL, "f"),)),
        ),
    )
    assert found.times == {"office": office}
    assert found.maintenance == (
        Maintenance(name="db", match=match, during=sunday, reason="patching"),
        Maintenance(name="day", match=match, during=office),
    )


def test_every_way_to_write_a_window(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        """
times:
  a: {weekly: [{weekdays: ["sat:mon", Wednesday], months: [Jan, "jun:aug"], years: [2026, "2028:2029"]}, {}]}
  b: {monthly: {days_of_month: ["1:7", -1, "-3:-2", "15:-1"], from: "00:30", to: "24:00"}}
  c:
    timezone: Europe/Berlin
    once:
      - {from: "2026-12-01 22:00", to: "2026-12-02T02:00:30"}
      - {from: 2026-12-05T00:00:00Z, to: 2026-12-05T02:00:00+01:00}
""",
    ).times
    assert found["a"].weekly == (
        Weekly(weekdays=(0, 2, 5, 6), months=((1, 1), (6, 8)), years=((2026, 2026), (2028, 2029))),
        Weekly(),
    )
    days = ((1, 7), (-1, -1), (-3, -2), (15, -1))
    assert found["b"].weekly == (Weekly(days_of_month=days, begins=hours(0.5), ends=hours(24)),)
    assert found["c"].once == (
        Once(begins_at=datetime(2026, 12, 1, 21, tzinfo=UTC), ends_at=datetime(2026, 12, 2, 1, 0, 30, tzinfo=UTC)),
        Once(begins_at=datetime(2026, 12, 5, tzinfo=UTC), ends_at=datetime(2026, 12, 5, 1, tzinfo=UTC)),
    )


@pytest.mark.parametrize("case", VECTORS["time_range_parse"], ids=lambda case: case["yaml"])
def test_alertmanagers_time_ranges(case: dict[str, object], tmp_path: Path) -> None:
    """Read and refused as there, but for a range that ends before it begins: here that goes over midnight."""
    given = yaml.safe_load(case["yaml"])
    keys = {"start_time": "from", "end_time": "to"}
    window = "{" + ", ".join(f'{keys[key]}: "{value}"' for key, value in given.items()) + "}"
    (tmp_path / "times.yaml").write_text(f"times: {{a: {{weekly: {window}}}}}")
    faults = [one for one in check(None, [tmp_path], {}) if one.code.startswith("R")]
    if given == {"start_time": "09:30", "end_time": "07:41"}:
        assert not faults
        return
    assert bool(faults) == case.get("error", False)
    if not faults:
        [weekly] = load_rules([tmp_path]).ruleset.times["a"].weekly
        minutes = [int(at.total_seconds()) // 60 for at in (weekly.begins, weekly.ends)]
        assert minutes == [case["start_minute"], case["end_minute"]]


@pytest.mark.parametrize(
    ("windows", "years", "occurs"),
    [
        ('once: {from: "2026-01-01 22:00", to: "2026-01-02 02:00"}', (2025, 2027), [True, False]),
        ("weekly: {years: [2026]}", (2025, 2027), [True, False]),
        ("monthly: {days_of_month: [29], months: [feb], years: [2027]}", (2025,), [False]),
        ("monthly: {days_of_month: [29], months: [feb]}", (2097,), [True]),
    ],
)
def test_a_window_that_is_over_is_linted(
    windows: str, years: tuple[int, ...], occurs: list[bool], tmp_path: Path
) -> None:
    """Only where the time is known."""
    (tmp_path / "rules.yaml").write_text(f"maintenance: [{{name: a, match: 'a=\"b\"', {windows}}}]")
    for year, expected in zip(years, occurs, strict=True):
        found = check(None, [tmp_path], {}, datetime(year, 6, 1, tzinfo=UTC))
        assert ("W030" not in [one.code for one in found]) == expected


def test_the_hash_names_them(tmp_path: Path) -> None:
    """Another window is another configuration."""
    text = 'maintenance: [{name: a, match: \'a="b"\', weekly: {from: "01:00", to: "02:00"}}]'
    one = rules(tmp_path, text).config_hash
    assert rules(tmp_path, text.replace("02:00", "03:00")).config_hash != one
