"""Write the classes that Java loads for Spark into an archive, which tests start each of their JVMs with.

A JVM that maps them, in place of parsing and verifying each again, starts Spark in half the processor time, and the
tests start hundreds. Java itself leaves an archive aside that doesn't fit it, or Spark's jars.
Usage: archive_classes.py FILE
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from pyspark import SparkContext
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression, RandomForestClassifier
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F


def main(archive: Path) -> None:
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Spark's launcher, a JVM too, ends first: its archive is replaced by that of the session.
    quick, quiet = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "-Xlog:cds=off,cds+dynamic=off"
    os.environ["JDK_JAVA_OPTIONS"] = f"-XX:ArchiveClassesAtExit={archive} {quick} {quiet}"
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR").getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        load_classes(spark, folder)
    gateway = SparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=300)
    print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB" if archive.exists() else f"this Java makes no {archive}")


def load_classes(spark: SparkSession, folder: str) -> None:
    """Do once what tests do most: files, windows, joins, Python's workers, and stages that are fitted and saved."""
    rows = spark.range(60).select("id", (F.col("id") % 2).cast("string").alias("name"), F.rand(1).alias("x"))
    for kind in ("parquet", "csv", "json"):
        rows.write.format(kind).save(f"{folder}/{kind}")
        spark.read.format(kind).load(f"{folder}/{kind}").count()
    numbered = rows.withColumn("place", F.row_number().over(Window.partitionBy("name").orderBy("x")))
    numbered.join(rows.groupBy("name").agg(F.avg("x"), F.collect_list("id")), "name").persist().toPandas()
    rows.mapInArrow(lambda batches: batches, rows.schema).rdd.map(len).collect()
    rows.rdd.barrier().mapPartitions(lambda part: part).collect()
    features = [
        StringIndexer(inputCol="name", outputCol="label"),
        VectorAssembler(inputCols=["x"], outputCol="features"),
    ]
    for learner in (LogisticRegression(maxIter=2), RandomForestClassifier(numTrees=2)):
        model = Pipeline(stages=[*features, learner]).fit(rows)
        model.write().overwrite().save(f"{folder}/model")
        model.transform(rows).collect()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
