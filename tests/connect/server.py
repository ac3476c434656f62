"""A Spark Connect server in a process of its own, until its standard input ends; it writes its port.

Arguments are its master, two slots by default, the address to listen on, and further settings as JSON.
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession

SETTINGS = {
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    "spark.connect.grpc.binding.port": "0",
    "spark.sql.artifact.isolation.enabled": "true",
    "spark.sql.artifact.isolation.alwaysApplyClassloader": "true",
    "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "2",
}


#: Settings that are the address to listen on.
ADDRESSES = ("spark.connect.grpc.binding.address", "spark.driver.host", "spark.driver.bindAddress")


def main(master: str = "local[2]", address: str = "127.0.0.1", more: str = "{}") -> None:
    """Start, say the port, wait, and stop."""
    builder = SparkSession.builder.master(master)
    for name, value in {**SETTINGS, **dict.fromkeys(ADDRESSES, address), **json.loads(more)}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    service = getattr(spark._jvm, "org.apache.spark.sql.connect.service.SparkConnectService$")
    sys.stdout.write(f"{getattr(service, 'MODULE$').localPort()}\n")
    sys.stdout.flush()
    sys.stdin.read()
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
