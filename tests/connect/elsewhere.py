"""A client of servers in processes of their own. ``test_elsewhere.py`` runs this file in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyspark
import pytest
from bare_python import BarePython
from conftest import DAEMON, PATHS, ROOT
from connect.outcome import check_stacked
from connect.servers import environment, of_spark, other_python, running_server
from digits import png_frame, tensor_frame
from mixed_tables import INPUTS, mixed_frame
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import DecisionTreeRegressor
from pyspark.sql import SparkSession

from sparkwater.conversions import to_torch
from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.sessions.versions import first_numbers
from sparkwater.errors import ConfigurationError
from sparkwater.ml import DeepLearningClassifier, ImageClassifier, exact_shapley_values

SECONDS = 100
#: Where workers that have all packages from the start find this one, and the module that they are forked from.
FOLDERS = (ROOT, ROOT / "tests" / "daemon")

#: A client that trains until it is killed.
TRAINING = """
import logging, sys
from digits import tensor_frame
from pyspark.sql import SparkSession
from sparkwater.ml import ImageClassifier
logging.basicConfig(level=logging.INFO)
spark = SparkSession.builder.remote(sys.argv[1]).create()
ImageClassifier(network="mlp", epochs=1000000, batchSize=8, numWorkers=2).fit(tensor_frame(spark, 100))
"""


@contextmanager
def connected(url: str) -> Iterator[SparkSession]:
    """Give a session of a server."""
    session = SparkSession.builder.remote(url).create()
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Expect a refusal that names what is lacking, soon."""
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=message):
        yield
    assert time.monotonic() - began < SECONDS


def test_workers_without_the_package_without_torch_and_with_all_for_a_client_without_a_jvm(tmp_path: Path) -> None:
    python = BarePython(tmp_path / "python")
    python.link(of_spark)
    (tmp_path / "server").mkdir()
    server = running_server(Path(sys.executable), python.executable, tmp_path / "server")
    with server as url, connected(url) as spark:
        assert not session_of(spark).shares_machine  # as far as anybody knows
        rows, table = tensor_frame(spark, 20, classes=2), mixed_frame(spark, 40)
        learner = ImageClassifier(network="mlp", epochs=1, numWorkers=1)
        of_table = DeepLearningClassifier(labelCol="kind", inputCols=INPUTS, epochs=1, seed=3, numWorkers=2)
        lacks_package = r"Python on the executors has no module sparkwater; .* set PYSPARK_PYTHON"
        with refused(lacks_package):
            learner.fit(rows)
        with refused(lacks_package):
            of_table.fit(table)
        with refused(lacks_package):
            to_torch(rows)
        with refused(lacks_package):
            learner.save(str(tmp_path / "learner"))

        # Workers that failed have ended; new ones find what is there by now.
        python.link(lambda name: not name.startswith(("torch", "__editable__")))
        lacks_torch = r"Python on the executors has no module torch; .* set PYSPARK_PYTHON"
        with refused(lacks_torch):
            learner.fit(rows)

        python.link(lambda name: not name.startswith("__editable__"))
        model = of_table.fit(table)
        assert model.transform(table).where("predictedLabel IS NOT NULL").count() == 40
        numbers = VectorAssembler(inputCols=["id"], outputCol="features").transform(table)
        tree = DecisionTreeRegressor(labelCol="price", maxDepth=1).fit(numbers)
        with refused("this needs a folder that Spark's server and executors share"):
            exact_shapley_values(tree, numbers)

        client = BarePython(tmp_path / "client")
        client.link_thin_client()
        check_stacked(run_users_program(client.executable, url, tmp_path))


def run_users_program(python: Path, url: str, folder: Path) -> dict[str, Any]:
    """Stack, save, load and score by a client of its own, and return what it found."""
    done = subprocess.run(
        [python, ROOT / "tests" / "connect_user.py", folder, "stack"],
        env={**environment(), "SPARK_REMOTE": url},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_server_of_another_spark(tmp_path: Path) -> None:
    python = other_python()
    if python is None:
        pytest.skip("there is no environment of the other set of dependencies beside this one")
    with running_server(python, python, tmp_path, *FOLDERS, **DAEMON) as url, connected(url) as spark:
        learner = ImageClassifier(network="mlp", featuresCol="content", imageShape=[16, 16, 1], epochs=1, numWorkers=2)
        if first_numbers(pyspark.__version__) > first_numbers(spark.version):
            # Spark itself fails at the first request that its server doesn't know, and names a setting.
            with refused(
                rf"pyspark {pyspark.__version__} is newer than the .* server, which has Spark {spark.version}"
            ):
                learner.fit(spark.sql("SELECT 0 AS label, CAST('no picture' AS BINARY) AS content"))
        else:
            rows = png_frame(spark, 20, classes=2)
            assert learner.fit(rows).transform(rows).where("predictedLabel IS NOT NULL").count() == 20


def test_slots_of_a_client_that_was_killed_are_free_once_the_server_gives_it_up(tmp_path: Path) -> None:
    own = Path(sys.executable)
    execute = "spark__connect__execute"
    soon = {
        f"{execute}__reattachable__senderMaxStreamDuration": "5s",
        f"{execute}__manager__detachedTimeout": "5s",
        f"{execute}__manager__maintenanceInterval": "1s",
    }
    with running_server(own, own, tmp_path, *FOLDERS, **DAEMON, **soon) as url:
        with subprocess.Popen(
            [own, "-c", TRAINING, url],
            env={**environment(), "PYTHONPATH": PATHS},
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stderr is not None
            said = []
            try:
                while said[-1:] != [""] and "epoch 2/" not in "".join(said):
                    said.append(client.stderr.readline())
                assert client.poll() is None, "".join(said)
            finally:
                client.kill()
        with connected(url) as spark:
            learner = ImageClassifier(network="mlp", epochs=2, numWorkers=2)
            assert len(learner.fit(tensor_frame(spark, 20)).summary.records) == 2
