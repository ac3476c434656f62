"""What adds up gradients where the user leaves it open."""

from __future__ import annotations

import pytest

from sparkwater.errors import ConfigurationError
from sparkwater.ml import ImageClassifier


@pytest.fixture
def master(spark):
    """Return a function that lets the session say that it has another master."""
    own = "spark.sql.legacy.setCommandRejectsSparkCoreConfs"
    spark.conf.set(own, "false")
    before = spark.conf.get("spark.master")
    yield lambda url: spark.conf.set("spark.master", url)
    spark.conf.set("spark.master", before)
    spark.conf.unset(own)


@pytest.mark.parametrize("url", ["local[2]", "local[*]", "local-cluster[2,1,1024]"])
def test_workers_of_a_local_master_add_up_through_its_memory(spark, master, url):
    master(url)
    assert ImageClassifier(device="cpu").choose_collective(spark, 2) == "memory"
    assert ImageClassifier(device="cpu", gradientCompression="bfloat16").choose_collective(spark, 2) == "memory"
    assert ImageClassifier(device="cuda").choose_collective(spark, 2) == "horovod"
    assert ImageClassifier(device="cpu", collective="torch").choose_collective(spark, 2) == "torch"


@pytest.mark.parametrize("url", ["spark://host:7077", "yarn", "k8s://host:443"])
def test_where_spark_places_the_workers_they_add_up_by_horovod(spark, master, url):
    master(url)
    assert ImageClassifier(device="cpu").choose_collective(spark, 2) == "horovod"
    assert ImageClassifier(device="cpu", collective="memory").choose_collective(spark, 2) == "memory"
    compressed = ImageClassifier(gradientCompression="bfloat16")
    with pytest.raises(ConfigurationError, match="gradientCompression='bfloat16' with collective='auto': Horovod adds"):
        compressed.choose_collective(spark, 2)
    assert compressed.choose_collective(spark, 1) == "local"
