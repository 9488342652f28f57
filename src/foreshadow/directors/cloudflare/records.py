"""The records of one name as the API tells them, in hosts; and which changes make them right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from foreshadow.directors.cloudflare.claim import Claim, mark, mark_start, marked_token, read_claim
from foreshadow.directors.cloudflare.options import AUTOMATIC, AUTOMATIC_SECONDS
from foreshadow.directors.weights import percentages
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError, RefusedError

LEADING = ("A", "AAAA", "CNAME")
"""The types of records that lead clients somewhere."""

_LISTED = (*LEADING, "TXT")
_PATCHED = ("id", "type", "name", "content", "ttl", "proxied", "comment")


@dataclass(frozen=True, slots=True)
class Record:
    """One record, as the API tells it.

    :ivar ttl: 1 for Cloudflare's choice.
    :ivar modified: when it was written last, by Cloudflare's clock.
    """

    id: str
    type: str
    name: str
    content: str
    ttl: int
    proxied: bool
    comment: str
    tags: tuple[str, ...]
    modified: WallTime

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Record:
        """Return a record of an answer.

        :raises DirectorError: when it is none.
        """
        try:
            return cls(
                id=str(raw["id"]),
                type=str(raw["type"]),
                name=str(raw["name"]).lower(),
                content=str(raw["content"]),
                ttl=int(raw["ttl"]),
                proxied=bool(raw.get("proxied")),
                comment=raw.get("comment") or "",
                tags=tuple(raw.get("tags") or ()),
                modified=WallTime(datetime.fromisoformat(raw["modified_on"]).timestamp()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DirectorError(
                f"a record in Cloudflare's answer cannot be read: {type(error).__name__} {error}"
            ) from None

    def seconds(self) -> float:
        """Return for how long clients and their resolvers may keep its address.

        What they keep of a proxied record is Cloudflare's own address.
        """
        if self.proxied:
            return 0.0
        return AUTOMATIC_SECONDS if self.ttl == AUTOMATIC else float(self.ttl)


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that are made in one transaction, in this order."""

    deletes: list[dict[str, Any]] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.deletes or self.patches or self.posts)


@dataclass(frozen=True)
class View:
    """The records of one name, and the claim on it.

    :ivar data: of the targets: by host, the content of its records by type.
    :ivar leading: the records that lead clients somewhere, whoever made them.
    :ivar claims: the claim's records: one, none, or more after a race for the first.
    """

    resource: str
    name: str
    where: str
    data: Mapping[str, Mapping[str, str]]
    leading: tuple[Record, ...]
    claims: tuple[Record, ...]

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        *,
        resource: str,
        name: str,
        where: str,
        data: Mapping[str, Mapping[str, str]],
    ) -> View:
        """Return the view of one name among the records of a list."""
        found = list(records)
        own = mark_start(resource)
        return cls(
            resource=resource,
            name=name,
            where=where,
            data=data,
            leading=tuple(r for r in found if r.name == name and r.type in LEADING),
            claims=tuple(
                r
                for r in found
                if (r.type, r.name) == ("TXT", claim_name(name)) and r.comment.startswith(own)
            ),
        )

    @property
    def claim(self) -> Claim:
        """Return the claim with the newest token; an empty one when there is none.

        :raises RefusedError: when it cannot be read: somebody edited it.
        """
        try:
            found = [read_claim(one.content, one.modified) for one in self.claims]
        except ValueError as error:
            raise RefusedError(
                f"the TXT record {self.claims[0].name} cannot be read: {error}",
                where=self.where,
                remedy="delete it when nothing moves the resource; it is made anew",
            ) from None
        return max(found, key=lambda claim: claim.token, default=Claim())

    def host_of(self, record: Record) -> str | None:
        """Return the host that a record leads to."""
        for host, data in self.data.items():
            if data.get(record.type, "").lower() == record.content.rstrip(".").lower():
                return host
        return None

    def ours(self, record: Record) -> bool:
        """Return whether we may change a record.

        It carries our mark; or nothing that a person would leave, and leads to a host of ours.
        """
        if marked_token(record.comment, self.resource) is not None:
            return True
        return not record.comment and not record.tags and self.host_of(record) is not None

    def weights(self) -> dict[str, int]:
        """Return where clients are led, as percentages by host."""
        led = Counter(host for record in self.leading if (host := self.host_of(record)))
        return percentages(led)

    def ttl(self) -> float:
        """Return the longest time for which an answer may be kept, in seconds."""
        return max((record.seconds() for record in self.leading), default=0.0)

    def foreign(self) -> list[Record]:
        """Return the records that a person, or somebody else's automation, manages."""
        return [record for record in self.leading if not self.ours(record)]

    def drift(self, *, proxied: bool) -> str:
        """Return what is not as we would have made it, in one line; empty when all is."""
        for record in self.foreign():
            return f"a {record.type} record of {self.name} is not ours: {record.content}"
        for record in self.leading:
            if self.host_of(record) is None:
                return f"{self.name} leads to {record.content}, which is no host's target"
            if record.proxied != proxied:
                shown = "is" if record.proxied else "is not"
                return f"{self.name} {shown} proxied, other than the spec says"
        return ""

    def refuse_foreign(self) -> None:
        """Refuse to go on beside somebody else's records.

        :raises RefusedError: naming the record.
        """
        for record in self.foreign():
            raise RefusedError(
                f"a {record.type} record of {self.name} is not ours: {record.content}, with "
                f"{'a comment' if record.comment else 'tags' if record.tags else 'no mark'}",
                where=self.where,
                remedy="take it away; or take its comment and tags away and point it at a target, "
                "to hand it over",
            )

    def refuse_older(self, token: int) -> None:
        """Refuse an actor that is late.

        :raises FencedError: naming the newer token.
        """
        marked = [marked_token(record.comment, self.resource) or 0 for record in self.leading]
        newest = max([self.claim.token, *marked])
        if token < newest:
            raise FencedError(
                f"fencing token {token} is older than {newest}",
                where=self.where,
                remedy="somebody else has taken over: stop",
            )


def leading_to(view: View, wanted: Mapping[str, str], ttl: int, proxied: bool, token: int) -> Batch:
    """Return the changes after which exactly the wanted records lead clients somewhere.

    A record is changed in place, so that the name never goes without an answer meanwhile; only a
    type that is no longer wanted is deleted.

    :param wanted: content by type.
    """
    batch = Batch()
    spare: dict[str, list[Record]] = {}
    for record in view.leading:
        spare.setdefault(record.type, []).append(record)
    for kind, content in wanted.items():
        same = sorted(spare.get(kind, []), key=lambda record: record.content != content)
        fields = {
            "type": kind,
            "name": view.name,
            "content": content,
            "ttl": AUTOMATIC if proxied else ttl,
            "proxied": proxied,
            "comment": mark(view.resource, token),
        }
        if not same:
            batch.posts.append(fields)
            continue
        kept = same[0]
        spare[kind].remove(kept)
        if not _shows(kept, fields):
            batch.patches.append({"id": kept.id, **fields})
    batch.deletes.extend({"id": one.id} for left in spare.values() for one in left)
    return batch


def _shows(record: Record, fields: Mapping[str, Any]) -> bool:
    """Return whether a record is as wanted; whose mark it carries does not matter."""
    return all(getattr(record, key) == value for key, value in fields.items() if key != "comment")


def with_ttl(view: View, ttl: int, token: int) -> Batch:
    """Return the changes that give the records of ours another TTL and nothing else."""
    comment = mark(view.resource, token)
    patches = [
        {
            **{key: getattr(record, key) for key in _PATCHED},
            "ttl": ttl,
            "comment": comment,
        }
        for record in view.leading
        if view.ours(record) and record.ttl != ttl
    ]
    return Batch(patches=patches)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a name: its records, and the claim that stands beside them afterwards.

    :ivar kept_from_now: by digest or ``any``, seconds for which answers of before may be kept.
    :ivar moved: the records lead elsewhere afterwards.
    """

    claim: Claim
    batch: Batch = field(default_factory=Batch)
    kept_from_now: Mapping[str, float] = field(default_factory=dict)
    moved: bool = False

    def claiming(self, view: View, write: str) -> Batch:
        """Return the batch with the claim in the place of the one that was read.

        :param write: by which its author knows it again.
        """
        claim = replace(self.claim, write=write)
        post = {
            "type": "TXT",
            "name": claim_name(view.name),
            "content": claim.content(self.kept_from_now, moved=self.moved),
            "ttl": AUTOMATIC,
            "comment": mark(view.resource, claim.token),
        }
        return Batch(
            deletes=[*self.batch.deletes, *({"id": one.id} for one in view.claims)],
            patches=self.batch.patches,
            posts=[*self.batch.posts, post],
        )


def claim_name(name: str) -> str:
    """Return the name of the claim on a name."""
    return f"_foreshadow.{name}"


def changed(view: View, batch: Batch, body: Any) -> View:
    """Return the view after a batch, from the answer to it.

    :raises DirectorError: when the answer does not tell the records.
    """
    result = body.get("result") if isinstance(body, Mapping) else None
    told = result if isinstance(result, Mapping) else {}
    written = [Record.of(raw) for kind in ("patches", "posts") for raw in told.get(kind) or ()]
    if len(written) != len(batch.patches) + len(batch.posts):
        raise DirectorError("Cloudflare's answer to a change does not tell all that it changed")
    gone = {one["id"] for one in batch.deletes} | {record.id for record in written}
    before = (record for record in (*view.leading, *view.claims) if record.id not in gone)
    return View.of(
        (*before, *written),
        resource=view.resource,
        name=view.name,
        where=view.where,
        data=view.data,
    )


def parse_page(body: Any) -> tuple[list[Record], int]:
    """Return the records on one page of a list, and how many pages there are.

    :raises DirectorError: when the answer is no list.
    """
    found = body.get("result") if isinstance(body, Mapping) else None
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise DirectorError("Cloudflare's answer is no list of records")
    info = body.get("result_info") or {}
    listed = [raw for raw in found if isinstance(raw, Mapping) and raw.get("type") in _LISTED]
    return [Record.of(raw) for raw in listed], int(info.get("total_pages") or 1)
