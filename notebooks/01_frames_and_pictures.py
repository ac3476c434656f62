# Databricks notebook source
# MAGIC %md
# MAGIC # 1. Frames and pictures
# MAGIC
# MAGIC A network learns from numbers, and Spark holds rows. This notebook goes from a folder of pictures to a DataFrame
# MAGIC that a network can learn from, and looks at the data on the way.
# MAGIC
# MAGIC The pictures are handwritten digits from MNIST: 28 x 28 grey pixels each, sorted into folders by digit. The
# MAGIC project ships 12,000 of them.

# COMMAND ----------

# MAGIC %md
# MAGIC ## A session, and the digits
# MAGIC
# MAGIC All notebooks of the lab begin like this. On Databricks there is a session, and a field above the notebook says
# MAGIC where the digits are. Elsewhere we start Spark on this machine, with two tasks at a time, and use the digits
# MAGIC that `make build/mnist_png` unpacked.

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
# MAGIC ## Read pictures
# MAGIC
# MAGIC `read_image_folder` reads `folder/<label>/<picture>` from wherever Spark reads. The name of each picture's
# MAGIC folder becomes its label. `content` holds the file as it is; no pixel has been decoded yet.

# COMMAND ----------

from sparkwater.conversions import read_image_folder

files = read_image_folder(spark, f"{data}/testing").cache()
files.printSchema()
print(f"{files.count():,} pictures")

# COMMAND ----------

# MAGIC %md
# MAGIC How many are there of each digit? A class with few rows is learned badly, so this is the first thing to look at.
# MAGIC Here all are about equally frequent.

# COMMAND ----------

from sparkwater.plots import share_bars

counts = files.groupBy("label").count().orderBy("label").collect()
total = sum(row["count"] for row in counts)
share_bars([(row["label"], row["count"] / total) for row in counts], "share of the pictures")

# COMMAND ----------

# MAGIC %md
# MAGIC ## From pictures to tensors
# MAGIC
# MAGIC `ImageToTensor` decodes each picture where its row is, on the executors, and brings all of them to one size:
# MAGIC height, width and channels. The result is a *tensor column*: an ordinary binary column whose metadata says the
# MAGIC type and the shape, channels first.

# COMMAND ----------

from sparkwater.conversions import ImageToTensor, tensor_spec

decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
digits = decode.transform(files).select("path", "features", "label").cache()
print(tensor_spec(digits.schema["features"]))

# COMMAND ----------

# MAGIC %md
# MAGIC Before anything is learned, look at what there is: 24 of the pictures, drawn at random, and what somebody said
# MAGIC that they are. A wrong label, a picture on its side or an empty one would be seen here.

# COMMAND ----------

from pyspark.sql import functions as F

from sparkwater.plots import plot_pictures

mixed = digits.orderBy(F.rand(seed=5))
plot_pictures(mixed, wordsCols=["label"], maxPictures=24, columns=8, title="Digits and their labels")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Pictures by URI and label
# MAGIC
# MAGIC Often there is a table of paths or URLs with labels, and the pictures are elsewhere. That works the same way:
# MAGIC the rows stay small until an executor reads the picture that a row names.

# COMMAND ----------

table = files.select("path", "label").orderBy(F.rand(seed=6)).limit(6).cache()
table.select(F.substring_index("path", "/", -4).alias("end of the path"), "label").show(truncate=False)
decode_by_uri = ImageToTensor(inputCol="path", outputCol="features", imageShape=[28, 28, 1])
plot_pictures(decode_by_uri.transform(table), wordsCols=["label"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look at the columns
# MAGIC
# MAGIC For a summary, tensors become vectors or arrays, which Spark's own functions take. `ink` is the mean of a
# MAGIC picture's pixels: 0 is black paper, 255 all white.

# COMMAND ----------

from sparkwater.conversions import TensorToArray

pixels = TensorToArray(inputCol="features", outputCol="pixels").transform(digits)
ink = F.aggregate(F.flatten(F.flatten("pixels")), F.lit(0.0), lambda total, pixel: total + pixel) / 784
measured = pixels.select("label", ink.alias("ink")).cache()
measured.summary("count", "mean", "stddev", "min", "50%", "max").show()

# COMMAND ----------

# MAGIC %md
# MAGIC The same by digit, as a picture: half of a digit's pictures lie within its box, nine of ten between its
# MAGIC whiskers. A 1 needs the least ink, a 0 the most. Ink alone would tell a 1 from most others, and not a 2 from a
# MAGIC 3. Spark finds the limits; ten rows come back.

# COMMAND ----------

from sparkwater.plots import Plot

limits = F.percentile("ink", F.array(*map(F.lit, [0.05, 0.25, 0.5, 0.75, 0.95])))
boxes = measured.groupBy("label").agg(limits.alias("limits")).orderBy("label").collect()
names = ("whislo", "q1", "med", "q3", "whishi")
plot = Plot(7.2, 3.4)
axes = plot.subplots()
axes.bxp([{**dict(zip(names, row["limits"])), "label": row["label"]} for row in boxes], showfliers=False)
axes.set(xlabel="digit", ylabel="ink")
middles = {row["limits"][2]: row["label"] for row in boxes}
low, high = min(middles), max(middles)
plot.alt = f"Ink by digit, as boxes: medians go from {low:.0f}, of {middles[low]}, to {high:.0f}, of {middles[high]}."
plot

# COMMAND ----------

# MAGIC %md
# MAGIC And as pictures: the mean of all pictures of a digit. The sharper it is, the more alike people write the digit.
# MAGIC Spark adds up the vectors; ten of them come back.

# COMMAND ----------

from pyspark.ml.stat import Summarizer

from sparkwater.conversions import TensorToVector
from sparkwater.plots import Picture, gallery

vectors = TensorToVector(inputCol="features", outputCol="vector").transform(digits)
means = vectors.groupBy("label").agg(Summarizer.mean(F.col("vector")).alias("mean")).orderBy("label").collect()
gallery(
    [Picture(row["mean"].toArray().reshape(28, 28), row["label"]) for row in means],
    columns=5,
    title="The mean of each digit",
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A picture that can't be read
# MAGIC
# MAGIC In real data some files are broken. `handleInvalid` says what happens: `error`, the default, stops and names the
# MAGIC row; `skip` leaves the row out; `keep` leaves its tensor empty. Here we cut off a file in the middle, keep the
# MAGIC row, and ask for the reasons.

# COMMAND ----------

from sparkwater.conversions import report_problems

few = files.limit(50).cache()
cut = F.when(F.col("path") == few.first()["path"], F.expr("substring(content, 1, 100)")).otherwise(F.col("content"))
careful = decode.copy().setHandleInvalid("keep").setProblemCol("problem")
print(report_problems(careful.transform(few.withColumn("content", cut)), "problem"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## On to PyTorch
# MAGIC
# MAGIC The learners of this package read tensor columns by themselves. For a loop of your own, `iter_torch_batches`
# MAGIC streams the rows as tensors.

# COMMAND ----------

from sparkwater.conversions import iter_torch_batches

batch = next(iter_torch_batches(digits.select("features"), batch_size=64))
print(batch["features"].shape, batch["features"].dtype)

# COMMAND ----------

# MAGIC %md
# MAGIC **Next**: [a network learns these digits](02_lenet.py). More: [tensor columns](../docs/tensor_columns.md),
# MAGIC [conversions](../docs/conversions.md).
