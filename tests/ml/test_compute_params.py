"""What adds up gradients where the user leaves it open."""

from __future__ import annotations

import pytest
from conftest import saying

from sparkwater.errors import ConfigurationError
from sparkwater.ml import ImageClassifier


@pytest.mark.parametrize("url", ["local[2]", "local[*]", "local-cluster[2,1,1024]"])
def test_workers_of_a_local_master_add_up_through_its_memory(spark, url):
    with saying(spark, "spark.master", url):
        assert ImageClassifier(device="cpu").choose_collective(spark, 2) == "memory"
        assert ImageClassifier(device="cpu", gradientCompression="bfloat16").choose_collective(spark, 2) == "memory"
        assert ImageClassifier(device="cuda").choose_collective(spark, 2) == "horovod"
        assert ImageClassifier(device="cpu", collective="torch").choose_collective(spark, 2) == "torch"


@pytest.mark.parametrize("url", ["spark://host:7077", "yarn", "k8s://host:443"])
def test_where_spark_places_the_workers_they_add_up_by_horovod(spark, url):
    compressed, refusal = ImageClassifier(gradientCompression="bfloat16"), "with collective='auto': Horovod adds"
    with saying(spark, "spark.master", url):
        assert ImageClassifier(device="cpu").choose_collective(spark, 2) == "horovod"
        assert ImageClassifier(device="cpu", collective="memory").choose_collective(spark, 2) == "memory"
        with pytest.raises(ConfigurationError, match=f"gradientCompression='bfloat16' {refusal}"):
            compressed.choose_collective(spark, 2)
        assert compressed.choose_collective(spark, 1) == "local"
