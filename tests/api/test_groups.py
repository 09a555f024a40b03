"""`GET /api/v2/alerts/groups`: each alert once a receiver, by the incident that it is in."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from imd.model.policy import BUILT_IN_POLICY, Receiver, Ruleset, built_in_policy
from imd.model.rule import Matcher, Op, Rule
from tests.api.server import serving

RULES = Ruleset(
    rules=(
        Rule(name="nodes", match=((Matcher("alertname", Op.REGEX, "Node.*"),),), group_by=("cluster", "node")),
        Rule(name="default", group_by=("cluster",)),
    ),
    receivers={name: Receiver(name=name) for name in ("chat", "pager")},
    policies={BUILT_IN_POLICY: built_in_policy(("chat", "pager"))},
)


def alert(**labels: str) -> dict[str, dict[str, str]]:
    return {"labels": labels}


async def test_incidents_are_groups_of_each_receiver(tmp_path: Path) -> None:
    async with serving(tmp_path, RULES) as server:
        body = [
            alert(alertname="NodeDown", cluster="c1", node="n1"),
            alert(alertname="NodeSlow", cluster="c1", node="n1"),
            alert(alertname="NodeDown", cluster="c1", node="n2"),
            alert(alertname="Other", cluster="c1", n="1"),
            alert(alertname="Bare", team="shop", n="1"),
            alert(alertname="Bare", team="shop", n="2"),
        ]
        assert (await server.call("POST", "/api/v2/alerts", body))[0] == 200
        status, groups, _ = await server.call("GET", "/api/v2/alerts/groups")
        assert status == 200
        seen = [(group["receiver"]["name"], group["labels"], len(group["alerts"])) for group in groups]
        assert seen == [
            (receiver, labels, count)
            for labels, count in [
                ({"alertname": "Bare"}, 2),
                ({"cluster": "c1"}, 1),
                ({"cluster": "c1", "node": "n1"}, 2),
                ({"cluster": "c1", "node": "n2"}, 1),
            ]
            for receiver in ("chat", "pager")
        ]
        _, one, _ = await server.call("GET", "/api/v2/alerts/groups?receiver=pager&filter=node=%22n1%22")
        assert [(group["receiver"]["name"], len(group["alerts"])) for group in one] == [("pager", 2)]
        assert {"fingerprint", "labels", "status", "startsAt", "endsAt", "receivers"} <= one[0]["alerts"][0].keys()


async def test_what_is_suppressed_is_grouped_as_its_rule_would(tmp_path: Path) -> None:
    async with serving(tmp_path, RULES) as server:
        now = server.clock.now()
        silence = {
            "matchers": [{"name": "node", "value": "n1", "isRegex": False}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "ana",
            "comment": "drill",
        }
        assert (await server.call("POST", "/api/v2/silences", silence))[0] == 200
        await server.call("POST", "/api/v2/alerts", [alert(alertname="NodeDown", cluster="c1", node="n1")])
        _, groups, _ = await server.call("GET", "/api/v2/alerts/groups")
        assert [group["labels"] for group in groups] == [{"cluster": "c1", "node": "n1"}] * 2
        assert groups[0]["alerts"][0]["status"]["state"] == "suppressed"
        assert (await server.call("GET", "/api/v2/alerts/groups?silenced=false"))[1] == []
