"""The names of a ledger's keys in Redis. All of one ledger share a hash tag, so one call touches one slot."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the ledger `ledger`."""

    ledger: str

    def _key(self, name: str) -> str:
        return f"quota:{{{self.ledger}}}:{name}"

    @property
    def pattern(self) -> str:
        """What all of them match, for a person who looks for them."""
        return self._key("*")

    @property
    def ids(self) -> str:
        """Hash: 12-byte digest of an event key -> 14 bytes, content digest (7), place (7); see `book/ids.py`."""
        return self._key("ids")

    @property
    def balances(self) -> str:
        """Hash: `account|period` -> the account's record (`ledger/book/account.py`)."""
        return self._key("balances")

    @property
    def journal(self) -> str:
        """Stream: one entry a posted run, `<number>-0`."""
        return self._key("journal")

    def bookings(self, field: str) -> str:
        """List, one an account and period (`account|period`): where its bookings lie (`ledger/book/bookings.py`)."""
        return self._key(f"bookings:{field}")

    @property
    def outbox(self) -> str:
        """List: alerts in JSON that are not on the topic yet, oldest first."""
        return self._key("outbox")

    @property
    def meta(self) -> str:
        """Hash: checkpoints, end offsets, the policy in force, cluster and topic ids, the journal's last number.

        `layout` tells how the ledger lies in Redis (`book/position.py`).
        `adoption` is how many adoptions were decided on, `adopting` what the ledger is closed for (`book/adopted.py`).
        `today` is the day by whose caps accounts are measured (`book/today.py`). `began_ms` and `told_until_ms` are
        `streams/deliver_alerts.py`'s: since when this Redis holds the ledger, and how far one before it had come with
        telling.
        """
        return self._key("meta")

    @property
    def policies(self) -> str:
        """Hash: SHA-256 -> every document ever adopted, in JSON with its chips and countries."""
        return self._key("policies")

    @property
    def adoptions(self) -> str:
        """Hash: number -> the adoption in JSON, without the document."""
        return self._key("adoptions")

    @property
    def families(self) -> str:
        """Hash: digest of an original's key -> its family (`ledger/book/family.py`), once an event names it."""
        return self._key("families")

    @property
    def expiries(self) -> str:
        """Sorted set: digest of a reservation's key in hex, by the millisecond at which it expires."""
        return self._key("expiries")

    @property
    def waits(self) -> str:
        """Hash: digest of an event's key in hex -> source, id and what it waits for (`held`, `waiting`), in JSON."""
        return self._key("waits")

    @property
    def relay_lease(self) -> str:
        """String with a time to live: which worker relays the outbox."""
        return self._key("relay")

    @property
    def alerts(self) -> str:
        """Stream: the alerts as they lie on the topic, `<offset + 1>-0`."""
        return self._key("alerts")

    @property
    def alert_ids(self) -> str:
        """Hash: alert id -> offset of its first record on the topic."""
        return self._key("alert_ids")

    @property
    def webhooks(self) -> str:
        """Hash: webhook id -> the subscription in JSON, its secret encrypted."""
        return self._key("webhooks")

    def changing(self, webhook_id: str) -> str:
        """String with a time to live, one a webhook: who is about to change it."""
        return self._key(f"changing:{webhook_id}")

    @property
    def api_keys(self) -> str:
        """Hash: key id -> the key in JSON: its scopes, and the SHA-256 of its secret."""
        return self._key("api_keys")

    @property
    def jobs(self) -> str:
        """Hash: job id -> a delivery to be made, in JSON."""
        return self._key("jobs")

    def due(self, webhook_id: str) -> str:
        """Sorted set, one a webhook: job id by the millisecond it is due, or comes back from a sender that died."""
        return self._key(f"due:{webhook_id}")

    def urgent(self, webhook_id: str) -> str:
        """Sorted set, one a webhook: as `due`, of those jobs that wait behind no other."""
        return self._key(f"due:{webhook_id}:urgent")

    @property
    def sequences(self) -> str:
        """Hash: webhook id -> number of its last delivery."""
        return self._key("sequences")

    @property
    def answered(self) -> str:
        """Hash: webhook id -> millisecond of its last success."""
        return self._key("answered")

    def deliveries(self, webhook_id: str) -> str:
        """Stream, one a webhook: the attempts made, newest kept."""
        return self._key(f"deliveries:{webhook_id}")
