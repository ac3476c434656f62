"""Hosts are gone when their maker is, or else with the next run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
from conftest import ROOT
from hosts import network

DIES = """
import os, signal, subprocess
from hosts.network import Network
with Network() as network:
    host = network.add(2, "a")
    sleeper = subprocess.Popen(host.on(["sleep", "1000"]), stdout=subprocess.DEVNULL)
    while host.processes == []:
        pass
    print(host.namespace, sleeper.pid, network.folder, flush=True)
    os.kill(os.getpid(), signal.{signal})
"""


def is_alive(pid: int) -> bool:
    """Return whether there is a process; one whose parent's parent hasn't noticed its end isn't."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_hosts_of_a_test_that_died_are_swept_and_those_of_others_are_not():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    with network.Network() as own:
        kept = own.add(2, "kept")
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(DIES.format(signal="SIGKILL"))],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        namespace, sleeper, folder = done.stdout.split()
        assert is_alive(int(sleeper))
        assert Path(folder).is_dir()
        assert namespace in network.ip("netns", "list")
        network.sweep()
        assert not is_alive(int(sleeper))
        assert namespace not in network.ip("netns", "list")
        assert not (network._SETTINGS / namespace).exists()
        assert not Path(folder).exists()
        assert own.folder.is_dir()
        assert kept.namespace in network.ip("netns", "list")
    assert own.prefix not in network.ip("netns", "list")
    assert not own.folder.exists()
