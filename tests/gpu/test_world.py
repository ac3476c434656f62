from __future__ import annotations

import pytest

from sparkwater.gpu.collective.world import World

LAYOUTS = [
    ("a",),
    ("a", "a"),
    ("a", "b"),
    ("a", "a", "a", "a"),
    ("a", "a", "b", "b"),
    ("a", "b", "a", "b"),
    ("a", "a", "a", "b"),
    ("a", "b", "a", "a"),
    ("b", "a", "a", "a"),
    ("a", "b", "c", "d"),
]


@pytest.mark.parametrize("hosts", LAYOUTS)
def test_local_ranks_count_the_ranks_of_each_host(hosts: tuple[str, ...]) -> None:
    worlds = [World(rank, hosts) for rank in range(len(hosts))]
    for host in set(hosts):
        here = [world for world in worlds if hosts[world.rank] == host]
        assert [world.local_rank for world in here] == list(range(len(here)))
        assert {world.local_size for world in here} == {len(here)}
    assert {world.size for world in worlds} == {len(hosts)}


@pytest.mark.parametrize("hosts", LAYOUTS)
def test_cross_ranks_count_the_hosts_that_have_a_local_rank(hosts: tuple[str, ...]) -> None:
    worlds = [World(rank, hosts) for rank in range(len(hosts))]
    for local_rank in {world.local_rank for world in worlds}:
        peers = [world for world in worlds if world.local_rank == local_rank]
        assert sorted(world.cross_rank for world in peers) == list(range(len(peers)))
        assert {world.cross_size for world in peers} == {len(peers)}


@pytest.mark.parametrize("hosts", LAYOUTS)
def test_no_two_ranks_have_the_same_local_and_cross_rank(hosts: tuple[str, ...]) -> None:
    places = {(world.local_rank, world.cross_rank) for world in (World(rank, hosts) for rank in range(len(hosts)))}
    assert len(places) == len(hosts)


def test_an_uneven_layout_counts_by_hand() -> None:
    worlds = [World(rank, ("a", "a", "a", "b")) for rank in range(4)]
    assert [world.local_rank for world in worlds] == [0, 1, 2, 0]
    assert [world.local_size for world in worlds] == [3, 3, 3, 1]
    assert [world.cross_rank for world in worlds] == [0, 0, 0, 1]
    assert [world.cross_size for world in worlds] == [2, 1, 1, 2]


@pytest.mark.parametrize(("hosts", "shared"), [(("a",), True), (("a", "a"), True), (("a", "b"), False)])
def test_sharing_a_host_means_all_ranks(hosts: tuple[str, ...], shared: bool) -> None:
    assert World(0, hosts).shares_host is shared
