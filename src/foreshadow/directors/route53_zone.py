"""The weighted records of one name, and the TXT record beside them, as Route 53 has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from foreshadow.cloud.aws import Aws
from foreshadow.directors.route53_claim import Memory, remembered
from foreshadow.directors.route53_options import Route53Options
from foreshadow.directors.weights import percentages
from foreshadow.domain.errors import DirectorError, RefusedError
from foreshadow.domain.near import unknown
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import format_duration

Record = dict[str, Any]

_ROUTE53 = "route53"
_BUSY_ATTEMPTS = 12
"""While a change of the zone is under way, AWS may take no other: that may last a minute."""
_ALIAS_TTL = 60.0
_MEMORY_TTL = 60


@dataclass(frozen=True)
class RecordSet:
    """What was read, in hosts.

    :ivar records: by host, its record.
    :ivar txt: the TXT record of the memory; ``None`` when there is none yet.
    """

    records: Mapping[str, Record]
    memory: Memory
    txt: Record | None

    def told(self) -> dict[str, int]:
        """Return the weight of each host, as it stands there."""
        return {host: int(record["Weight"]) for host, record in self.records.items()}

    def weights(self) -> dict[str, int]:
        """Return where answers lead, as percentages; all weights zero mean an equal split."""
        told = self.told()
        return percentages(told if any(told.values()) else dict.fromkeys(told, 1))

    def ttl(self) -> float:
        """Return the largest TTL of the records, in seconds."""
        return max(float(record.get("TTL", _ALIAS_TTL)) for record in self.records.values())


class Zone:
    """Reads and changes a record set: all of it in one transaction, and only as it was read."""

    def __init__(
        self,
        aws: Aws,
        options: Route53Options,
        spec: DirectorSpec,
        resource: str,
        where: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._aws = aws
        self._options = options
        self._spec = spec
        self._resource = resource
        self._where = where
        self._monotonic = monotonic
        self._sleep = sleep

    def read(self) -> RecordSet:
        """Return the record set, in one request unless the zone has very many names below it.

        :raises DirectorError: when its records are not weighted, or not ours to change.
        """
        wanted = self._options
        found: list[Record] = []
        txt: Record | None = None
        for record in self._listed():
            if record["Name"] == wanted.record and record["Type"] == wanted.type:
                found.append(record)
            elif record["Name"] == self._memory_name() and record["Type"] == "TXT":
                txt = record
        if not found:
            raise unknown("record", wanted.record, [], where=self._where)
        if any("Weight" not in record for record in found):
            raise DirectorError(
                "its records are not weighted",
                where=self._where,
                remedy="give each host a record with a set identifier and a weight",
            )
        values = [] if txt is None else [one["Value"] for one in txt.get("ResourceRecords", ())]
        memory = (
            Memory(self._resource)
            if txt is None
            else remembered(values, self._resource, self._where)
        )
        return RecordSet({self._host(record): record for record in found}, memory, txt)

    def change(self, seen: RecordSet, records: Mapping[str, Record], memory: Memory) -> RecordSet:
        """Put records and memory in the place of what was seen, and wait until all servers follow.

        :param records: by host, those that differ.
        :raises RefusedError: when somebody changed what was seen; nothing was changed then.
        :raises DirectorError: when not every server follows in time.
        """
        after = RecordSet({**seen.records, **records}, memory, self._txt(memory))
        pairs = [(seen.records[host], record) for host, record in records.items()]
        changes = [*self._swapped(seen.txt, after.txt)]
        for old, new in pairs:
            changes += self._swapped(old, new)

        def settled() -> bool:
            now = self.read()
            return now.memory == memory and now.records == after.records

        reply = self._write(changes, settled)
        if reply is None:  # done, but nobody told which change to wait for: make an empty one
            reply = self._write(self._swapped(after.txt, after.txt), lambda: False)
        if reply is not None:
            self._wait(reply["ChangeInfo"])
        return after

    def _write(self, changes: list[dict[str, Any]], settled: Callable[[], bool]) -> Record | None:
        return self._aws.write(
            _ROUTE53, "ChangeResourceRecordSets", settled, attempts=_BUSY_ATTEMPTS,
            HostedZoneId=self._options.zone, ChangeBatch={"Changes": changes},
        )  # fmt: skip

    def _wait(self, change: Record) -> None:
        deadline = self._monotonic() + self._options.sync_timeout
        while change["Status"] != "INSYNC":
            if self._monotonic() > deadline:
                took = format_duration(self._options.sync_timeout)
                raise DirectorError(
                    f"after {took} not every server of Route 53 shows the change",
                    where=self._where,
                    remedy="it will be shown; read it again later, and repeat or undo it",
                )
            self._sleep(self._options.poll)
            change = self._aws.read(_ROUTE53, "GetChange", Id=change["Id"])["ChangeInfo"]

    def _listed(self) -> list[Record]:
        """Return the records of the name and of the names below it, up to the memory."""
        name = self._options.record
        found: list[Record] = []
        pages = self._aws.pages(
            _ROUTE53, "ListResourceRecordSets",
            HostedZoneId=self._options.zone, StartRecordName=name,
        )  # fmt: skip
        for page in pages:
            for record in page["ResourceRecordSets"]:
                if not f".{record['Name']}".endswith(f".{name}"):
                    return found
                found.append(record)
                if record["Name"] == self._memory_name():
                    return found
        return found

    def _host(self, record: Record) -> str:
        """Return the host of a record, known by its set identifier or by where it leads."""
        names = {record["SetIdentifier"], _leads_to(record)}
        targets = self._spec.targets.items()
        return next((h for h, target in targets if target in names), record["SetIdentifier"])

    def _memory_name(self) -> str:
        return f"_foreshadow.{self._options.record}"

    def _txt(self, memory: Memory) -> Record:
        return {
            "Name": self._memory_name(),
            "Type": "TXT",
            "TTL": _MEMORY_TTL,
            "ResourceRecords": [{"Value": memory.value()}],
        }

    @staticmethod
    def _swapped(old: Record | None, new: Record | None) -> list[dict[str, Any]]:
        """Return the changes that put a record in the place of another, if that is still there."""
        delete = [] if old is None else [{"Action": "DELETE", "ResourceRecordSet": old}]
        create = [] if new is None else [{"Action": "CREATE", "ResourceRecordSet": new}]
        return [*delete, *create]


def changed_meanwhile(error: RefusedError) -> bool:
    """Return whether a change was refused because what it was to replace is not there."""
    return "InvalidChangeBatch" in error.problem


def _leads_to(record: Record) -> str:
    """Return where a record leads, when it leads to one place."""
    if "AliasTarget" in record:
        return str(record["AliasTarget"]["DNSName"]).rstrip(".")
    values = [str(one["Value"]).rstrip(".") for one in record.get("ResourceRecords", ())]
    return values[0] if len(values) == 1 else ""
