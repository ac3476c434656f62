"""A user's program on hosts: all of it in a classic session, a fit over Spark Connect from where no worker reaches."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import connect_user
import pytest
from conftest import PATHS, ROOT
from connect.outcome import check
from connect.servers import environment
from hosts.cluster import Cluster, settings

from sparkwater.ml import ImageClassifierModel

#: A client; its lines are the digests of the weights. After each it writes to the other stream.
CLIENT = """
import hashlib, logging, sys
from digits import tensor_frame
from hosts.fits import learner
from pyspark.sql import SparkSession
logging.basicConfig(level=logging.INFO)
spark = SparkSession.builder.remote(sys.argv[1]).create()
rows = tensor_frame(spark, 100)
for folder in (None, sys.argv[2]):
    model = learner(collective="horovod", checkpointDir=folder).fit(rows)
    print(hashlib.sha256(model.weights).hexdigest())
    sys.stderr.write("--- next ---")
"""


@contextmanager
def connect_server(hosts: Cluster) -> Iterator[str]:
    """Give the address of a Spark Connect server on the driver's host, whose executors are the cluster's."""
    hosts.free()
    address = hosts.driver.address
    program = ROOT / "tests" / "connect" / "server.py"
    with subprocess.Popen(
        [sys.executable, program, hosts.master, address, json.dumps(settings(address))],
        env={**environment(), "SPARK_LOCAL_IP": address, "PYSPARK_PYTHON": sys.executable},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield f"sc://{address}:{int(server.stdout.readline())}"
        # Leaving the block closes its input, which ends it.


def test_a_users_program_trains_saves_loads_and_stacks_on_hosts(hosts: Cluster, tmp_path: Path) -> None:
    hosts.session()
    check(connect_user.main(str(tmp_path)))


def test_a_connect_client_that_no_worker_reaches_gets_its_model_and_sees_epochs_beside_checkpoints(
    hosts: Cluster, undisturbed: ImageClassifierModel, tmp_path: Path
) -> None:
    pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")
    with connect_server(hosts) as url, hosts.stranger.deaf_to(hosts.workers.values()):
        done = subprocess.run(
            hosts.stranger.on([sys.executable, "-c", CLIENT, url, str(tmp_path / "checkpoints")]),
            env={**environment(), "PYTHONPATH": PATHS},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == 2 * [hashlib.sha256(undisturbed.weights).hexdigest()]
    without, with_checkpoints, _ = done.stderr.split("--- next ---")
    assert "epoch 1/" not in without  # nobody could tell it
    assert "epoch 1/40" in with_checkpoints
    assert not list((tmp_path / "checkpoints").glob("epochs-*"))
