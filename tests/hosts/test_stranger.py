"""A stranger on the network of a training changes nothing."""

from __future__ import annotations

import os

import psutil
import pytest
from digits import tensor_frame
from hosts.cluster import python_processes
from hosts.fits import learner
from hosts.sockets import listening
from hosts.stranger import FLOOD, Stranger


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_a_stranger_who_floods_replays_and_talks_nonsense_changes_nothing(hosts, undisturbed, collective):
    frame = tensor_frame(hosts.session(), 100)
    learner(collective=collective, epochs=1).fit(frame)  # processes have what they need once
    workers = list(hosts.workers.values())
    members = [hosts.driver, *workers]
    stranger = Stranger(hosts.stranger, members)
    open_ports, before, growth = {}, {}, {}

    def ports_of():
        found = []
        for process in [psutil.Process(), *(each for host in workers for each in python_processes(host))]:
            memory = process.memory_info().rss / 2**20
            grown = memory - before.setdefault(process.pid, memory)
            growth[process.pid] = max(growth.get(process.pid, 0.0), grown)
            for place in listening(process.pid, members):
                open_ports[place] = "driver" if process.pid == os.getpid() else "rank"
                found.append(place)
        return found

    with stranger.at_work(ports_of):
        model = learner(collective=collective, stallTimeout=30).fit(frame)
    assert model.weights == undisturbed.weights
    assert [record.loss for record in model.summary.records] == [record.loss for record in undisturbed.summary.records]
    # He was there: at the driver's channel, and at the ranks' ports.
    assert {*open_ports.values()} == {"driver", "rank"}
    assert stranger.heard
    assert stranger.talks["replays"] > 10
    assert max(count for place, count in stranger.floods.items() if open_ports[place] == "driver") == FLOOD
    assert {open_ports[place] for place, count in stranger.left_open.items() if count > 10} >= {"driver"}
    assert stranger.answers == {}
    assert max(growth.values()) < 50, growth
