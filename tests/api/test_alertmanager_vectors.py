"""Alertmanager's own HTTP cases (tests/vectors, drawn from 0.34) against imd, over real sockets."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.api.server import Server

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "alertmanager_api_cases.json").read_text())
_NOW = re.compile(r"^\$now(?:([+-])(\d+)s)?$")
_TOLERANCE = timedelta(seconds=3)


def _moment(text: str, now: datetime) -> datetime | None:
    found = _NOW.match(text)
    if found is None:
        return None
    return now + timedelta(seconds=int(f"{found[1]}{found[2]}")) if found[1] else now


def _filled(value: object, now: datetime) -> object:
    if isinstance(value, str):
        moment = _moment(value, now)
        return value if moment is None else moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _filled(part, now) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, now) for part in value]
    return value


def _fits(want: object, got: object, now: datetime, saved: dict[str, object]) -> bool:
    """Objects fit as subsets, lists in length and in any order, `$now` within 3 s; `$save:NAME` keeps what is there,
    `$NAME` is what was kept."""
    if isinstance(want, str):
        if want.startswith("$save:"):
            saved[want.removeprefix("$save:")] = got
            return True
        if want.removeprefix("$") in saved:
            return got == saved[want.removeprefix("$")]
        moment = _moment(want, now)
        if want == "$any":
            return True
        if moment is not None:
            return isinstance(got, str) and abs(datetime.fromisoformat(got) - moment) < _TOLERANCE
        return want == got
    if isinstance(want, dict):
        return isinstance(got, dict) and all(
            key in got and _fits(part, got[key], now, saved) for key, part in want.items()
        )
    if isinstance(want, list):
        if not isinstance(got, list) or len(want) != len(got):
            return False
        left = list(got)
        for part in want:
            found = next((one for one in left if _fits(part, one, now, saved)), None)
            if found is None:
                return False
            left.remove(found)
        return True
    return want == got


def _params() -> list[object]:
    return [pytest.param(case, id=case["id"]) for case in VECTORS["cases"]]


@pytest.mark.parametrize("prefix", ["", "/am"])
@pytest.mark.parametrize("case", _params())
async def test_case(case: dict[str, object], prefix: str, server: Server) -> None:
    """Each step gets the status and the body that Alertmanager gives."""
    began, saved = server.clock.now(), dict[str, object]()
    for step in case["steps"]:
        if "sleep" in step:
            await server.pass_time(timedelta(seconds=step["sleep"]))
            continue
        request, want = step["request"], step["expect"]
        raw = request["raw"].encode() if "raw" in request else None
        if raw is None and "body" in request:
            raw = json.dumps(_filled(request["body"], began)).encode()
        query = "?" + urlencode(request["query"], doseq=True) if "query" in request else ""
        headers = {"Content_Type": "application/json"} if raw is not None else {}
        headers |= {name.replace("-", "_"): value for name, value in request.get("headers", {}).items()}
        path = request["path"]
        for name, value in saved.items():
            path = path.replace(f"${name}", str(value))
        status, got, _ = await server.call(request["method"], prefix + path + query, raw=raw, **headers)
        wanted = want["status"] if isinstance(want["status"], list) else [want["status"]]
        assert status in wanted, got
        if "json" in want:
            assert _fits(want["json"], got, began, saved), got
        assert want.get("contains", "") in json.dumps(got)
