# Databricks notebook source
# MAGIC %md
# MAGIC # 6. Deep features
# MAGIC
# MAGIC Before a network says which digit it sees, its last hidden layer has made some hundred numbers of the picture:
# MAGIC the *deep features*. Pictures of the same kind have similar numbers, whatever their pixels are. This notebook
# MAGIC takes these features out, learns from them, measures distances between them, and finds the nearest pictures.

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
# MAGIC Some of the digits are for the network to learn from. The others are what we look at: features of pictures that
# MAGIC a network knows by heart would tell little.

# COMMAND ----------

from pyspark.sql import functions as F

from sparkwater.conversions import ImageToTensor, read_image_folder

decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
digits = decode.transform(read_image_folder(spark, f"{data}/testing")).drop("content")
digits = digits.withColumn("label", F.col("label").cast("int"))
training, others = (part.cache() for part in digits.randomSplit([0.6, 0.4], seed=1))
print(f"{training.count():,} digits to learn from, {others.count():,} others")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Take the features out
# MAGIC
# MAGIC LeNet learns the digits for a few passes. `penultimate` is what its last layer reads: 500 numbers. A layer's
# MAGIC name or its position in `model.describeNetwork()` would do as well.

# COMMAND ----------

from sparkwater.ml import ImageClassifier

model = ImageClassifier(network="lenet", epochs=4, batchSize=50).fit(training)
extract = model.deepFeatures("penultimate")
deep_training, deep = (extract.transform(part).cache() for part in (training, others))
deep.select("label", "deepFeatures").show(3, truncate=70)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A map of the digits
# MAGIC
# MAGIC Nobody can look at 500 dimensions. Spark ML's `PCA` finds the two directions in which the features of the
# MAGIC training digits differ most. Each point is one of the other digits, which the network hasn't learned from.

# COMMAND ----------

from pyspark.ml.feature import PCA

from sparkwater.plots import Plot

flat = PCA(k=2, inputCol="deepFeatures", outputCol="place").fit(deep_training).transform(deep)
points = flat.select("label", "place").limit(400).collect()
plot = Plot(6, 5)
axes = plot.subplots()
axes.scatter(*zip(*(row["place"] for row in points)), alpha=0)  # so that the axes are wide enough
for row in points:
    axes.text(*row["place"], row["label"], color=f"C{row['label']}", ha="center", va="center", fontsize=9)
axes.set(title="Digits by the two main directions of their deep features", xticks=[], yticks=[])
plot.alt = "A map of 400 digits by two directions of their deep features: pictures of the same digit lie together."
plot

# COMMAND ----------

# MAGIC %md
# MAGIC ## A simple classifier on deep features
# MAGIC
# MAGIC A layer that tells digits apart is a good input for simple learners: here naive Bayes, which takes a second,
# MAGIC once on the pixels and once on the features.

# COMMAND ----------

from pyspark.ml.classification import NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator

from sparkwater.conversions import TensorToVector

pixels = TensorToVector(inputCol="features", outputCol="pixels")
accuracy = MulticlassClassificationEvaluator(metricName="accuracy")
for name in ("pixels", "deepFeatures"):
    bayes = NaiveBayes(featuresCol=name, modelType="gaussian").fit(pixels.transform(deep_training))
    print(f"{name:13} {1 - accuracy.evaluate(bayes.transform(pixels.transform(deep))):.1%} wrong")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The distance matrix
# MAGIC
# MAGIC `distance_matrix` compares every row of one DataFrame with every row of another, in blocks. Here are the cosine
# MAGIC similarities of 60 digits to each other, sorted by digit: light is similar. The light squares on the diagonal
# MAGIC are digits of one kind; a light square beside it means that two digits are alike, such as 4 and 9.

# COMMAND ----------

import numpy as np
from pyspark.sql import Window

from sparkwater.ml import distance_matrix

place = F.row_number().over(Window.partitionBy("label").orderBy("path"))
six = deep.withColumn("place", place).where("place <= 6").withColumn("id", 10 * F.col("label") + F.col("place"))
matrix = np.zeros((60, 60))
order = {row["id"]: at for at, row in enumerate(six.select("id").orderBy("id").collect())}
for block in distance_matrix(six, six, "cosine", featuresCol="deepFeatures").collect():
    rows, columns = ([order[one] for one in block[side]] for side in ("queryIds", "referenceIds"))
    matrix[np.ix_(rows, columns)] = block["values"]

plot = Plot(5.2, 4.6)
axes = plot.subplots()
plot.colorbar(axes.imshow(matrix, cmap="cividis"), label="cosine similarity")
axes.set(xticks=np.arange(10) * 6 + 2.5, yticks=np.arange(10) * 6 + 2.5, xticklabels=range(10), yticklabels=range(10))
plot.alt = "Cosine similarities of the deep features of 60 digits, six of each: light squares on the diagonal."
plot

# COMMAND ----------

# MAGIC %md
# MAGIC ## The nearest pictures
# MAGIC
# MAGIC `k_nearest` finds the most similar rows without keeping the whole matrix. The framed digits are new to the
# MAGIC network; beside each are the five most similar ones among those that it learned from, with their labels.

# COMMAND ----------

from sparkwater.ml import k_nearest
from sparkwater.plots import plot_neighbors

queries = six.where("place = 1 and label in (2, 3, 4, 5, 8, 9)").cache()
pairs = k_nearest(queries, deep_training, 5, "cosine", featuresCol="deepFeatures", idCol="path")
plot_neighbors(pairs, queries, deep_training, idCol="path", wordsCol="label", maxQueries=6, maxNeighbors=5)

# COMMAND ----------

# MAGIC %md
# MAGIC The stage `Similarity` does the same in a pipeline.
# MAGIC
# MAGIC **Next**: [tables and anomalies](07_tables_and_anomalies.py). More: [deep features and
# MAGIC similarity](../docs/similarity.md).
