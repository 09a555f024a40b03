"""What has been committed and is to leave: from the batch to whoever sends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from imd.model.effect import CancelPages, Delivery, ForgetIncident
from imd.store.contract import Batch, PendingDelivery, StoredConversation


class Outgoing(Protocol):
    """Where committed messages go: the outbox."""

    def offer(self, deliveries: Iterable[Delivery]) -> None: ...

    def offer_pending(self, pending: Iterable[PendingDelivery]) -> None: ...

    def cancel(self, effect: CancelPages) -> None: ...

    def recall(self, conversations: Iterable[StoredConversation]) -> None: ...

    def forget(self, incident: str) -> None: ...


def send_off(batch: Batch, outgoing: Outgoing) -> None:
    """In the engine's order."""
    for message in batch.after:
        match message:
            case CancelPages():
                outgoing.cancel(message)
            case ForgetIncident():
                outgoing.forget(message.id)
            case Delivery():
                outgoing.offer((message,))
