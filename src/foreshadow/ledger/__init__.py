"""The durable record: resources, hosts, instances, decisions, switchovers, outcomes, leases."""

from foreshadow.ledger.facade import Ledger

__all__ = ["Ledger"]
