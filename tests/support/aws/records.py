"""Weighted records as Route 53 has them: transactions, strict deletions, and changes that pend."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree

import moto.backends

from tests.support.aws.calls import Call
from tests.support.aws.server import Answer, Forward, RefusedCall

_NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
_N = f"{{{_NAMESPACE}}}"
_OURS = re.compile(r"^C\d{1,6}$")

Key = tuple[str, str, str]
Fields = dict[str, str]


@dataclass
class Records:
    """The truth about one hosted zone; moto has the zone itself, and is told what it holds.

    :ivar pending: seconds for which a change is not in sync.
    :ivar busy: refuse a change while another one pends, as a zone under load does.
    :ivar page: records in one page of a listing.
    :ivar now: the clock that changes go by.
    """

    pending: float = 0.0
    busy: bool = False
    page: int = 100
    now: Callable[[], float] = time.monotonic
    history: list[dict[str, int]] = field(default_factory=list)
    _records: dict[Key, Fields] = field(default_factory=dict)
    _changes: dict[str, float] = field(default_factory=dict)

    def answer(self, call: Call, forward: Forward) -> Answer | None:
        """Answer what is about records and changes."""
        match call.action:
            case "ChangeResourceRecordSets":
                return self._change(call)
            case "ListResourceRecordSets":
                return self._list(call)
            case "CreateHostedZone":
                return self._zone(call, forward)
            case "GetChange":
                number = call.path.rstrip("/").rpartition("/")[2]
                # What is not about records, such as a new zone, moto has been told alone.
                return self._status(number) if _OURS.match(number) else None
        return None

    def weights(self, name: str) -> dict[str, int]:
        """Return the weights of a name's records by set identifier."""
        return {
            key[2]: int(fields["Weight"])
            for key, fields in self._records.items()
            if key[0] == name and "Weight" in fields
        }

    def forget(self) -> None:
        """Hold no record any more."""
        self._records.clear()
        self._changes.clear()
        self.history.clear()

    def _change(self, call: Call) -> Answer:
        if self.busy and any(self.now() < until for until in self._changes.values()):
            raise RefusedCall("PriorRequestNotComplete", "the zone is being changed")
        draft = dict(self._records)
        for change in call.data.iter(f"{_N}Change"):
            _make(draft, change)
        self._records = draft
        names = {key[0] for key, fields in draft.items() if "Weight" in fields}
        self.history += [self.weights(name) for name in names]
        number = f"C{len(self._changes) + 1}"
        self._changes[number] = self.now() + self.pending
        return self._status(number, "ChangeResourceRecordSetsResponse")

    def _zone(self, call: Call, forward: Forward) -> Answer:
        """Make a zone; one that is made for a network is private, which moto has to be told."""
        answer = forward()
        network = [call.data.findtext(f"{_N}VPC/{_N}{tag}") for tag in ("VPCId", "VPCRegion")]
        if all(network) and answer[0] < 300:
            made = ElementTree.fromstring(answer[2]).findtext(f".//{_N}HostedZone/{_N}Id") or ""
            for account in moto.backends.get_backend("route53").values():
                zone = account["aws"].zones[made.rpartition("/")[2]]
                zone.private_zone = True
                zone.add_vpc(*network)
                servers = "|".join(f"ns-{i}.awsdns-00.com." for i in (0, 512, 1024, 1536))
                self._records[zone.name, "NS", ""] = {"TTL": "172800", "ResourceRecords": servers}
        return answer

    def _status(self, number: str, response: str = "GetChangeResponse") -> Answer:
        if number not in self._changes:
            raise RefusedCall("NoSuchChange", number, 404)
        status = "PENDING" if self.now() < self._changes[number] else "INSYNC"
        return _xml(
            f'<{response} xmlns="{_NAMESPACE}"><ChangeInfo><Id>/change/{number}</Id>'
            f"<Status>{status}</Status><SubmittedAt>2026-11-24T08:00:00Z</SubmittedAt>"
            f"</ChangeInfo></{response}>"
        )

    def _list(self, call: Call) -> Answer:
        start = (_order(call.form.get("name", "")), call.form.get("type", ""),
                 call.form.get("identifier", ""))  # fmt: skip
        ordered = sorted((_order(k[0]), k[1], k[2], k) for k in self._records)
        found = [entry[3] for entry in ordered if entry[:3] >= start]
        shown, more = found[: self.page], found[self.page : self.page + 1]
        sets = "".join(_rendered(key, self._records[key]) for key in shown)
        following = "".join(
            f"<NextRecordName>{name}</NextRecordName><NextRecordType>{kind}</NextRecordType>"
            + (f"<NextRecordIdentifier>{one}</NextRecordIdentifier>" if one else "")
            for name, kind, one in more
        )
        return _xml(
            f'<ListResourceRecordSetsResponse xmlns="{_NAMESPACE}"><ResourceRecordSets>{sets}'
            f"</ResourceRecordSets><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{following}"
            f"<MaxItems>{self.page}</MaxItems></ListResourceRecordSetsResponse>"
        )


def _make(draft: dict[Key, Fields], change: ElementTree.Element) -> None:
    """Make one change of a transaction.

    :raises RefusedCall: when Route 53 would refuse the whole transaction.
    """
    action = change.findtext(f"{_N}Action")
    record = change.find(f"{_N}ResourceRecordSet")
    assert record is not None
    fields = {
        part.tag.removeprefix(_N): "|".join(value.text or "" for value in part.iter() if value.text)
        for part in record
    }
    key = (
        fields.pop("Name").rstrip(".") + ".",
        fields.pop("Type"),
        fields.pop("SetIdentifier", ""),
    )
    if "Weight" in fields and not 0 <= int(fields["Weight"]) <= 255:
        raise RefusedCall("InvalidInput", "a weight must be between 0 and 255")
    if action == "CREATE" and key in draft:
        raise RefusedCall("InvalidChangeBatch", f"tried to create {key} but it already exists")
    if action == "DELETE":
        if draft.get(key) != fields:
            raise RefusedCall(
                "InvalidChangeBatch", f"tried to delete {key} but the values do not match"
            )
        del draft[key]
        return
    draft[key] = fields


def _rendered(key: Key, fields: Fields) -> str:
    name, kind, identifier = key
    parts = [f"<Name>{name}</Name><Type>{kind}</Type>"]
    if identifier:
        parts.append(f"<SetIdentifier>{identifier}</SetIdentifier>")
    for tag, value in fields.items():
        if tag == "ResourceRecords":
            value = "".join(
                f"<ResourceRecord><Value>{one}</Value></ResourceRecord>"
                for one in value.replace('"', "&quot;").split("|")
            )
        parts.append(f"<{tag}>{value}</{tag}>")
    return f"<ResourceRecordSet>{''.join(parts)}</ResourceRecordSet>"


def _order(name: str) -> list[str]:
    return list(reversed(name.rstrip(".").split(".")))


def _xml(text: str) -> Answer:
    return 200, "text/xml", text.encode()
