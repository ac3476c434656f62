# Databricks notebook source
# MAGIC %md
# MAGIC # 8. Deployment
# MAGIC
# MAGIC A trained model is of use where the pictures come in: in another Spark job, in a stream, or in a service without
# MAGIC Spark. This notebook saves a pipeline, loads it, turns it into a bundle that needs neither Spark nor PyTorch,
# MAGIC and lets it score pictures as they arrive.

# COMMAND ----------

# MAGIC %md
# MAGIC A session, and the digits, as in [the first notebook](01_frames_and_pictures.py).

# COMMAND ----------

from pathlib import Path

from pyspark.sql import SparkSession

if "dbutils" in globals():  # Databricks has a session, and a field above the notebook
    dbutils.widgets.text("data", "/Volumes/main/default/lab/mnist_png")
    data = dbutils.widgets.get("data")
else:
    folders = [folder / "build/mnist_png" for folder in (Path.cwd(), *Path.cwd().parents)]
    data = str(next(filter(Path.is_dir, folders), folders[0]))  # `make build/mnist_png` unpacks it
    settings = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": False}
    settings |= {"spark.sql.shuffle.partitions": 2, "spark.sql.files.openCostInBytes": 4096}  # for small data
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()

# COMMAND ----------

# MAGIC %md
# MAGIC What we write goes into one folder. On a cluster it must be one that all machines share.

# COMMAND ----------

import tempfile

if "dbutils" in globals():
    dbutils.widgets.text("folder", "/Volumes/main/default/lab/deployment")
    folder = dbutils.widgets.get("folder")
else:
    folder = tempfile.mkdtemp()

# COMMAND ----------

# MAGIC %md
# MAGIC ## A pipeline from files to labels
# MAGIC
# MAGIC Decoding is a stage of the pipeline, so the model takes files as they come.

# COMMAND ----------

from pyspark.ml import Pipeline

from sparkwater.conversions import ImageToTensor, read_image_folder
from sparkwater.ml import ImageClassifier

files = read_image_folder(spark, f"{data}/testing").cache()
training, others = (part.cache() for part in files.randomSplit([0.7, 0.3], seed=1))
decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
pipeline = Pipeline(stages=[decode, ImageClassifier(network="lenet", epochs=5, batchSize=50)])
model = pipeline.fit(training)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Save and load
# MAGIC
# MAGIC It is saved as all of Spark ML is, to any filesystem that Spark writes. Weights are safetensors and all else is
# MAGIC JSON: no file holds code. The loaded model gives the same probabilities to the last digit.

# COMMAND ----------

from pyspark.ml import PipelineModel

model.write().overwrite().save(f"{folder}/model")
loaded = PipelineModel.load(f"{folder}/model")
assert (
    loaded.transform(others).select("probability").collect() == model.transform(others).select("probability").collect()
)
for file in sorted(Path(folder, "model").rglob("*")):
    if file.is_file() and not file.name.startswith((".", "_")):
        print(f"{file.stat().st_size:>10,} bytes  {file.relative_to(folder)}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## A bundle
# MAGIC
# MAGIC A bundle is a folder with the model as one graph in ONNX, what its inputs and outputs are, and some real rows
# MAGIC with the results that are expected. Before it is written, the graph must give for these rows what `transform`
# MAGIC gives. It takes pictures as files, decoding included.

# COMMAND ----------

from sparkwater.bundle import Bundle, export_bundle

export_bundle(model, f"{folder}/bundle", sample=others.limit(20), overwrite=True)
bundle = Bundle.load(f"{folder}/bundle")
print(bundle.describe())

# COMMAND ----------

# MAGIC %md
# MAGIC ## Score without Spark
# MAGIC
# MAGIC Give it pictures: paths, bytes, or what Pillow has opened. Spark only fetches eight of them here; `predict` runs
# MAGIC no job.

# COMMAND ----------

import io

import numpy as np
from PIL import Image
from pyspark.sql import functions as F

from sparkwater.plots import Picture, gallery

pictures = [bytes(row["content"]) for row in others.orderBy(F.rand(seed=2)).limit(8).select("content").collect()]
found = bundle.predict(pictures)
words = [f"{label}\n{sure.max():.0%}" for label, sure in zip(found["predictedLabel"], found["probability"])]
gallery([Picture(np.array(Image.open(io.BytesIO(one))), said) for one, said in zip(pictures, words)], columns=8)

# COMMAND ----------

# MAGIC %md
# MAGIC A process of its own shows that neither Spark nor PyTorch is needed: `pip install 'sparkwater[scorer]'` brings
# MAGIC NumPy, Pillow and onnxruntime. It also says how long one picture takes.

# COMMAND ----------

import subprocess
import sys

program = f"""
import sys, time
from sparkwater.bundle import Bundle
bundle = Bundle.load({f"{folder}/bundle"!r})
picture = open({f"{folder}/digit.png"!r}, "rb").read()
bundle.predict([picture])
started = time.perf_counter()
for _ in range(100):
    found = bundle.predict([picture])
print(f"a {{found['predictedLabel'][0]}}, {{10 * (time.perf_counter() - started):.1f}} ms a picture")
print("loaded: pyspark", "pyspark" in sys.modules, " torch", "torch" in sys.modules)
"""
Path(folder, "digit.png").write_bytes(pictures[0])
print(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)

# COMMAND ----------

# MAGIC %md
# MAGIC From the command line it is `python -m sparkwater.bundle score BUNDLE PICTURES --output scores.csv`. Other
# MAGIC languages score `model.onnx` by their onnxruntime.
# MAGIC
# MAGIC ## MLflow
# MAGIC
# MAGIC With `pip install 'sparkwater[mlflow]'` one line logs the bundle and the Spark stage together, and another loads
# MAGIC it for scoring, without Spark:
# MAGIC
# MAGIC ```
# MAGIC sparkwater.mlflow.log_model(model, "digits", sample=others.limit(20), registered_model_name="digits")
# MAGIC mlflow.pyfunc.load_model("models:/digits/1").predict({"content": pictures})
# MAGIC ```
# MAGIC
# MAGIC ## A stream
# MAGIC
# MAGIC `stream_images` reads pictures as they are put into a folder, and the same `transform` scores them. `keep` lets
# MAGIC a broken file become a row without a label, so that it doesn't stop the stream. Here three files are there, one
# MAGIC of them broken, and the query ends when all are scored; without the trigger it would wait for more.

# COMMAND ----------

from sparkwater.conversions import stream_images

inbox = Path(folder, "inbox")
inbox.mkdir(exist_ok=True)
for place, picture in enumerate([pictures[0], pictures[1], pictures[2][:100]]):
    (inbox / f"{place}.png").write_bytes(picture)

for stage in loaded.stages:
    stage.setHandleInvalid("keep")
scored = loaded.transform(stream_images(spark, str(inbox))).select("path", "predictedLabel")
query = (
    scored.writeStream.format("parquet")
    .option("checkpointLocation", f"{folder}/marks")
    .trigger(availableNow=True)
    .start(f"{folder}/scores")
)
query.awaitTermination()
spark.read.parquet(f"{folder}/scores").selectExpr("regexp_extract(path, '[^/]+$', 0) file", "predictedLabel").orderBy(
    "file"
).show()

# COMMAND ----------

# MAGIC %md
# MAGIC This was the lab. `make demo`, `make demo-stack` and `make demo-table` are the same as programs for spark-submit
# MAGIC ([programs](../docs/programs.md)). More: [bundles](../docs/bundle.md), [MLflow](../docs/mlflow.md),
# MAGIC [streams](../docs/streams.md).
