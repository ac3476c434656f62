"""Executors that Spark counts on: where they are, and how long it does so without hearing of them."""

from __future__ import annotations

import pytest
from pyspark import SparkConf
from pyspark.sql import SparkSession

from sparkwater.conversions.sessions.classic import longest_silence, places_of


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 120 + 60),
        ({"network.timeout": "20s", "network.timeoutInterval": "1s"}, 20 + 1),
        # Without a unit, one is in seconds and the other in milliseconds.
        ({"network.timeout": "300", "network.timeoutInterval": "500"}, 300 + 0.5),
        ({"network.timeout": "20s", "storage.blockManagerHeartbeatTimeoutMs": "5min"}, 300 + 60),
        ({"network.timeout": "900s", "storage.blockManagerSlaveTimeoutMs": "30000"}, 30 + 60),
        ({"storage.blockManagerHeartbeatTimeoutMs": "1s", "storage.blockManagerSlaveTimeoutMs": "9s"}, 1 + 60),
    ],
)
def test_an_executor_is_lost_at_the_first_look_after_its_time(
    spark: SparkSession, settings: dict[str, str], seconds: float
) -> None:
    given = SparkConf(loadDefaults=False, _jvm=spark._jvm)
    for name, value in settings.items():
        given.set(f"spark.{name}", value)
    assert longest_silence(given._jconf) == seconds


def test_an_executor_that_has_just_begun_has_no_port_and_is_left_out() -> None:
    assert places_of(["10.0.0.2", "10.0.0.3:41235", "[::1]:7", "[::1]", "alpha"]) == [("10.0.0.3", 41235), ("[::1]", 7)]
