"""The `servicenow` receiver: a record of a ServiceNow table, one for each incident, by the Table API.

Owns the record's fields. There is no upsert: a first page asks by `correlation_id` (our dedup_key) whether an attempt
before it made the record already, then makes it; all that follows are work notes on it by its sys_id. The end
resolves it with the code and notes that ServiceNow asks for. A digest says what began and was over while this could not
be reached: one record, resolved. Priority is ServiceNow's own, of impact and urgency.

Source: ServiceNow docs, Table API; Create an incident record; Incident states; read November 2026. State numbers are
those of the base system.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api, Outcome
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import ServicenowSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

SHORT_DESCRIPTION_CHARS_MAX = 160
DESCRIPTION_CHARS_MAX = 4_000
WORK_NOTES_CHARS_MAX = 4_000
CLOSE_NOTES_CHARS_MAX = 1_000
IN_PROGRESS, RESOLVED = "2", "6"
IMPACT_URGENCY = {"P1": ("1", "1"), "P2": ("1", "2"), "P3": ("2", "2"), "P4": ("2", "3"), "P5": ("3", "3")}
PER_SECOND, BURST = 2.0, 10  # ours: rate limit rules are an instance's own

_Found = dict[str, Any]


class _Record(msgspec.Struct, frozen=True, tag="servicenow"):
    """The record's key and number, and the table that it stands in."""

    sys_id: str
    number: str
    table: str


class _One(msgspec.Struct, frozen=True):
    result: _Found = {}


class _Several(msgspec.Struct, frozen=True):
    result: list[_Found] = []


class Servicenow:
    """Writes into one table of one instance."""

    def __init__(self, settings: ServicenowSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        password = settings.password.reveal()
        pair = b64encode(f"{settings.username}:{password}".encode()).decode()
        endpoint = Endpoint(settings.url, secrets=[password, pair], public=True)
        headers = {"Authorization": f"Basic {pair}", "Accept": "application/json"}
        self._api = Api(endpoint, http, clock, headers)
        self._path = f"/api/now/table/{segment(settings.table)}"
        self._settings = settings
        self._where = keyed("servicenow", settings.url, settings.table)
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("servicenow", settings.url), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        record = recall(conversation, _Record) if delivery.incident else None
        if record is None or record.table != self._where:
            key = delivery.id if delivery.kind is PageKind.DIGEST else delivery.dedup_key
            record, failed = await self._find(key)
            if failed is not None:
                return failed
        if record is not None and delivery.kind is PageKind.DIGEST:
            return Receipt(record.number)  # an attempt before this one made it
        if record is not None:
            answer = await self._update(message, record)
            if not (isinstance(answer, Permanent) and "answered 404" in answer.error):
                return answer  # else somebody deleted it
        return await self._create(message)

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    async def _find(self, key: str) -> tuple[_Record | None, Answer | None]:
        """The record of this key, if there is one; what went wrong, if anything did."""
        query = {
            # `^` joins conditions: a key holds none.
            "sysparm_query": f"correlation_id={key.replace('^', '')}^ORDERBYDESCsys_created_on",
            "sysparm_fields": "sys_id,number",
            "sysparm_limit": "1",
        }
        outcome = await self._api.json(self._path, None, "GET", query)
        answer = self._api.judge(outcome)
        if not isinstance(answer, Receipt) or not isinstance(outcome, Reply):
            return None, answer
        found = outcome.decoded(_Several)
        if found is None:
            return None, Temporary(self._api.fault("answered what is not ServiceNow's JSON"))
        return (self._record(found.result[0]) if found.result else None), None

    async def _create(self, message: Message) -> Answer:
        outcome = await self._api.json(self._path, self.record(message))
        return self._judge(outcome, bool(message.delivery.incident))

    async def _update(self, message: Message, record: _Record) -> Answer:
        path = f"{self._path}/{segment(record.sys_id)}"
        return self._judge(await self._api.json(path, self.change(message), "PATCH"), bool(message.delivery.incident))

    def record(self, message: Message) -> dict[str, str]:
        """A new record's fields; the operator's own ones last, for theirs is the table."""
        if message.delivery.kind is PageKind.DIGEST:
            return {**self._list(message), **self._settings.fields}
        fields = {
            "short_description": text.cut(message.title, SHORT_DESCRIPTION_CHARS_MAX),
            "description": self._writer.body(message, room=DESCRIPTION_CHARS_MAX, head=message.title),
            "correlation_id": message.delivery.dedup_key,
            "correlation_display": "imd",
            **_rank(message),
        }
        if message.delivery.kind is PageKind.RESOLVED:
            fields |= self._closing(message)
        return {**fields, **self._settings.fields}

    def _list(self, message: Message) -> dict[str, str]:
        return {
            "short_description": text.cut(message.headline, SHORT_DESCRIPTION_CHARS_MAX),
            "description": text.roll(message, DESCRIPTION_CHARS_MAX),
            "correlation_id": message.delivery.id,
            "correlation_display": "imd",
            "impact": "3",
            "urgency": "3",
            "state": RESOLVED,
            "close_code": self._settings.close_code,
            "close_notes": "All of these began and ended while imd could not reach this.",
        }

    def change(self, message: Message) -> dict[str, str]:
        """What a later message changes."""
        body = self._writer.body(message, room=WORK_NOTES_CHARS_MAX, head=message.headline)
        fields = {"work_notes": body}
        match message.delivery.kind:
            case PageKind.PAGE:
                fields |= {**_rank(message), "state": IN_PROGRESS}
            case PageKind.UPDATE:
                fields |= {"short_description": text.cut(message.title, SHORT_DESCRIPTION_CHARS_MAX)}
            case PageKind.ACKNOWLEDGED:
                fields |= {"state": IN_PROGRESS}
            case PageKind.RESOLVED:
                fields |= self._closing(message)
        return fields

    def _closing(self, message: Message) -> dict[str, str]:
        notes = text.cut(message.happened or "Resolved.", CLOSE_NOTES_CHARS_MAX)
        return {"state": RESOLVED, "close_code": self._settings.close_code, "close_notes": notes}

    def _judge(self, outcome: Outcome, keep: bool) -> Answer:
        answer = self._api.judge(outcome)
        if not isinstance(answer, Receipt) or not isinstance(outcome, Reply):
            return answer
        said = outcome.decoded(_One)
        record = self._record(said.result) if said is not None else None
        if record is None:
            return Temporary(self._api.fault("answered what is not ServiceNow's JSON"), ambiguous=True)
        return Receipt(record.number, msgspec.json.encode(record) if keep else b"")

    def _record(self, found: _Found) -> _Record | None:
        sys_id, number = found.get("sys_id"), found.get("number")
        if not isinstance(sys_id, str) or not sys_id:
            return None
        return _Record(sys_id=sys_id, number=number if isinstance(number, str) else "", table=self._where)


def _rank(message: Message) -> dict[str, str]:
    impact, urgency = IMPACT_URGENCY[message.delivery.priority.value]
    return {"impact": impact, "urgency": urgency}
