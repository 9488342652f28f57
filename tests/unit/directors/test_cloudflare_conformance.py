"""Both directors of Cloudflare pass the suite, over HTTP against a faithful stand-in of its API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foreshadow.testing.directors import CachingConformance, DirectorConformance
from tests.support.cloudflare_world import DnsWorld, LbWorld, running_world


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsWorld]:
    with running_world(DnsWorld, tmp_path_factory.mktemp("dns")) as world:
        yield world


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LbWorld]:
    with running_world(LbWorld, tmp_path_factory.mktemp("pools")) as world:
        yield world


class TestCloudflareDns(CachingConformance):
    shares = False
    counts_requests = False

    @pytest.fixture
    def world(self, dns: DnsWorld) -> DnsWorld:
        return dns


class TestCloudflareLb(DirectorConformance):
    counts_requests = False

    @pytest.fixture
    def world(self, pools: LbWorld) -> LbWorld:
        return pools
