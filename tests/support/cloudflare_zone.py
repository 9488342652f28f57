"""A zone of Cloudflare's, in memory: DNS records with the checks, codes and limits of the API."""

from __future__ import annotations

import copy
import ipaddress
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

COMMENT_AT_MOST = {"free": 100, "pro": 500, "enterprise": 500}
TAGS_AT_MOST = {"free": 0, "pro": 20, "enterprise": 20}
RECORDS_AT_MOST = {"free": 200, "pro": 3500, "enterprise": 3500}
LEAST_TTL = {"free": 60, "pro": 60, "enterprise": 30}
PROXIABLE = ("A", "AAAA", "CNAME")


class ApiRefusal(Exception):
    """An answer that is a refusal: HTTP status, and errors as the envelope has them."""

    def __init__(self, status: int, code: int, message: str, *chain: tuple[int, str]) -> None:
        super().__init__(message)
        self.status = status
        error: dict[str, Any] = {"code": code, "message": message}
        if chain:
            error["error_chain"] = [{"code": c, "message": m} for c, m in chain]
        self.errors = [error]


def invalid(code: int, message: str) -> ApiRefusal:
    return ApiRefusal(400, 1004, "DNS Validation Error", (code, message))


@dataclass
class FakeZone:
    """One zone.

    :ivar written: each change that took effect, as ``(what, type, name, content)``.
    """

    id: str
    name: str
    plan: str = "free"
    now: Callable[[], float] = lambda: 0.0
    limit: int | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: list[tuple[str, str, str, str]] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def put(self, kind: str, name: str, content: str, **fields: Any) -> dict[str, Any]:
        """Make a record as a person does in the dashboard; it does not count as written."""
        made = self.create({"type": kind, "name": name, "content": content, "ttl": 1, **fields})
        self.written.pop()
        return made

    def at(self, name: str, *kinds: str) -> list[dict[str, Any]]:
        """Return the records of a name, of these types."""
        return [r for r in self.records.values() if r["name"] == name and r["type"] in kinds]

    def create(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self._checked(fields)
        if len(self.records) >= (self.limit or RECORDS_AT_MOST[self.plan]):
            raise ApiRefusal(400, 81045, "The record quota has been exceeded.")
        self._refuse_clash(wanted, None)
        stamp = self._stamp()
        record = {
            "id": f"{next(self._ids):032x}",
            "proxiable": wanted["type"] in PROXIABLE,
            "settings": {},
            "meta": {},
            "created_on": stamp,
            "modified_on": stamp,
            **wanted,
        }
        self.records[record["id"]] = record
        self._wrote("create", record)
        return record

    def edit(self, record_id: str, fields: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
        """Change a record: PUT is ``whole`` and forgets what is not given, PATCH keeps it."""
        before = self.get(record_id)
        base = {} if whole else {key: before[key] for key in ("comment", "tags", "proxied")}
        wanted = self._checked({**base, **fields})
        self._refuse_clash(wanted, record_id)
        before.update(wanted, modified_on=self._stamp())
        self._wrote("edit", before)
        return before

    def delete(self, record_id: str) -> dict[str, Any]:
        record = self.get(record_id)
        del self.records[record_id]
        self._wrote("delete", record)
        return record

    def get(self, record_id: str) -> dict[str, Any]:
        if record_id not in self.records:
            raise ApiRefusal(404, 81044, "Record does not exist.")
        return self.records[record_id]

    def batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make all of it or nothing: deletes, patches, puts, posts, in this order."""
        before = copy.deepcopy((self.records, self.written))
        try:
            deletes = [self.delete(one["id"]) for one in body.get("deletes") or ()]
            patches = [self.edit(one["id"], one, whole=False) for one in body.get("patches") or ()]
            puts = [self.edit(one["id"], one, whole=True) for one in body.get("puts") or ()]
            posts = [self.create(one) for one in body.get("posts") or ()]
        except ApiRefusal:
            self.records, self.written = before
            raise
        done = {"deletes": deletes, "patches": patches, "puts": puts, "posts": posts}
        return copy.deepcopy(done)

    def listed(self, query: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Return one page of the records that a query asks for, and its ``result_info``."""
        filters = [
            (*key.partition(".")[::2], value)
            for key, value in query.items()
            if key.partition(".")[0] in ("name", "comment", "content", "type")
        ]
        every = all if query.get("match", "all") == "all" else any
        found = [
            copy.deepcopy(record)
            for record in self.records.values()
            if not filters or every(_meets(record, *one) for one in filters)
        ]
        page, size = int(query.get("page", 1)), int(query.get("per_page", 100))
        shown = found[(page - 1) * size : page * size]
        info = {
            "page": page,
            "per_page": size,
            "count": len(shown),
            "total_count": len(found),
            "total_pages": -(-len(found) // size),
        }
        return shown, info

    def _checked(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        kind, name = fields.get("type"), fields.get("name")
        if not kind or not name:
            raise invalid(9000, "DNS name is invalid.")
        wanted = {
            "type": kind,
            "name": self._full(str(name)),
            "content": self._content(str(kind), str(fields.get("content") or "")),
            "proxied": bool(fields.get("proxied")),
            "comment": fields.get("comment") or None,
            "tags": list(fields.get("tags") or ()),
            "ttl": fields.get("ttl"),
        }
        if wanted["proxied"] and kind not in PROXIABLE:
            raise invalid(9004, "This record type cannot be proxied.")
        least = LEAST_TTL[self.plan]
        ttl = wanted["ttl"]
        if not isinstance(ttl, int) or not (ttl == 1 or least <= ttl <= 86400):
            text = f"Invalid TTL. Must be between {least} and 86400 seconds, or 1 for Automatic."
            raise invalid(9021, text)
        wanted["ttl"] = 1 if wanted["proxied"] else ttl
        if len(wanted["comment"] or "") > COMMENT_AT_MOST[self.plan]:
            raise invalid(9301, "The comment is longer than the plan allows.")
        if len(wanted["tags"]) > TAGS_AT_MOST[self.plan]:
            quota = TAGS_AT_MOST[self.plan]
            text = f"DNS record has {len(wanted['tags'])} tags, exceeding the quota of {quota}."
            raise invalid(9300, text)
        return wanted

    def _full(self, name: str) -> str:
        lower = name.lower()
        inside = lower == self.name or lower.endswith(f".{self.name}")
        return lower if inside else f"{lower}.{self.name}"

    def _content(self, kind: str, content: str) -> str:
        try:
            if kind == "A":
                return str(ipaddress.IPv4Address(content))
            if kind == "AAAA":
                return str(ipaddress.IPv6Address(content))
        except ValueError:
            code, version = (9005, 4) if kind == "A" else (9006, 6)
            text = f"Content for {kind} record must be a valid IPv{version} address."
            raise invalid(code, text) from None
        if not content:
            raise invalid(9007, f"Content for {kind} record is invalid.")
        if kind == "TXT" and any(len(part) > 255 for part in content.split('" "')):
            raise invalid(9207, "Content for TXT record has a string that is too long.")
        return content

    def _refuse_clash(self, wanted: Mapping[str, Any], but: str | None) -> None:
        others = [
            record
            for record in self.records.values()
            if record["name"] == wanted["name"] and record["id"] != but
        ]
        identical = (wanted["type"], wanted["content"])
        if any((record["type"], record["content"]) == identical for record in others):
            raise ApiRefusal(400, 81058, "An identical record already exists.")
        if wanted["type"] == "CNAME" and any(r["type"] in PROXIABLE for r in others):
            raise ApiRefusal(
                400, 81053, "An A, AAAA, or CNAME record with that host already exists."
            )
        if wanted["type"] in PROXIABLE and any(r["type"] == "CNAME" for r in others):
            raise ApiRefusal(400, 81054, "A CNAME record with that host already exists.")

    def _wrote(self, what: str, record: Mapping[str, Any]) -> None:
        self.written.append((what, record["type"], record["name"], record["content"]))

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat().replace("+00:00", "Z")


def _meets(record: Mapping[str, Any], what: str, how: str, value: str) -> bool:
    """Return whether a record meets one filter; filters do not look at upper and lower case."""
    shown, value = str(record[what] or "").lower(), value.lower()
    match how:
        case "exact" | "":
            return shown == value
        case "startswith":
            return shown.startswith(value)
        case "endswith":
            return shown.endswith(value)
        case "contains":
            return value in shown
    raise AssertionError(f"the fake knows no filter {what}.{how}")
