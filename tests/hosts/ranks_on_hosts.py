"""Ranks in processes on hosts of namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu import ranks
from hosts.network import Host


def launch(hosts: Sequence[Host], scenario: str, folder: Path, limit: float, **arguments: Any) -> list[dict[str, Any]]:
    """Run a scenario of `gpu.ranks` with a rank on each host; return what each reports, or kill them after `limit`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder) for folder in Path(__file__).parents[1:3]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    deadline = time.monotonic() + limit
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank, host in enumerate(hosts):
            given = [str(rank), scenario, str(folder), str(len(hosts)), json.dumps(arguments)]
            processes.append(subprocess.Popen(host.on([sys.executable, __file__, *given]), env=environment))
        return ranks.reports(scenario, folder, [_code(process, deadline) for process in processes])
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _code(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    place, name, directory, size, given_arguments = sys.argv[1:]
    ranks.run_scenario(int(place), name, Path(directory), int(size), json.loads(given_arguments), dict(os.environ))
