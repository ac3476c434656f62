# Databricks notebook source
# MAGIC %md
# MAGIC # 7. Tables and anomalies
# MAGIC
# MAGIC Networks learn from tables, too: numbers, categories and missing values. This notebook learns the species and
# MAGIC the weight of penguins from raw columns, says how sure it is, and then, without any labels, finds the strangest
# MAGIC of the handwritten digits.

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
# MAGIC ## A table as it is
# MAGIC
# MAGIC 344 penguins of Palmer Station in Antarctica, from the project's folder `data`. Some measures are missing.

# COMMAND ----------

if "dbutils" in globals():
    dbutils.widgets.text("penguins", "/Volumes/main/default/lab/penguins.csv")
    file = dbutils.widgets.get("penguins")
else:
    file = f"{Path(data).parents[1]}/data/penguins.csv"
penguins = spark.read.csv(file, header=True, inferSchema=True, nullValue="NA").cache()
penguins.show(5)
penguins.summary("count", "mean", "min", "max").show()

# COMMAND ----------

# MAGIC %md
# MAGIC Can the species be told from the measures at all? Bills show it: each species has a place of its own, and the
# MAGIC places touch.

# COMMAND ----------

from sparkwater.plots import Plot

plot = Plot(7.2, 3.6)
axes = plot.subplots()
bills = penguins.select("species", "bill_length_mm", "bill_depth_mm").na.drop().collect()
looks = zip(sorted({row["species"] for row in bills}), ("o", "s", "^"), ("#0072b2", "#d55e00", "#009e73"))
for species, mark, color in looks:
    places = [(row["bill_length_mm"], row["bill_depth_mm"]) for row in bills if row["species"] == species]
    axes.plot(*zip(*places), mark, color=color, markersize=4, label=species)
axes.set(xlabel="length of the bill, mm", ylabel="depth of the bill, mm")
axes.legend()
plot.alt = f"Length and depth of the bills of {len(bills)} penguins: three species in three places that touch."
plot

# COMMAND ----------

# MAGIC %md
# MAGIC `TableToTensor` learns how the columns become numbers: measures are scaled, categories become flags or ids, what
# MAGIC is missing is filled in and marked. The learners below do this by themselves; its report says what becomes of a
# MAGIC column.

# COMMAND ----------

from sparkwater.conversions import TableToTensor

print(TableToTensor(outputCol="features").fit(penguins.drop("species")).report)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Learn a class
# MAGIC
# MAGIC `DeepLearningClassifier` takes the raw columns. Its *recipe* is a network with settings that are known to work
# MAGIC on tables; you need to set nothing but the label.

# COMMAND ----------

from sparkwater.ml import DeepLearningClassifier, confusion_matrix

known = penguins.na.drop(subset=["body_mass_g"])
training, testing = (part.cache() for part in known.randomSplit([0.7, 0.3], seed=3))
model = DeepLearningClassifier(labelCol="species", epochs=20).fit(training)
confusion_matrix(model.transform(testing), "species", "predictedLabel").plot()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Learn a number, and how sure it is
# MAGIC
# MAGIC For numbers, `distribution` says how labels lie around the prediction: `gaussian` for measures, `laplace` or
# MAGIC `huber` where some are far off, `poisson` for counts, `gamma` for sizes such as costs, `tweedie` for sizes of
# MAGIC which many are 0. With `quantile` the network predicts limits. Here it predicts three: 10 %, 50 % and 90 % of
# MAGIC penguins like this one weigh less.

# COMMAND ----------

from sparkwater.ml import DeepLearningRegressor

regressor = DeepLearningRegressor(labelCol="body_mass_g", distribution="quantile", quantiles=[0.1, 0.5, 0.9], epochs=40)
weights = regressor.fit(training)
rows = weights.transform(testing).orderBy("prediction").select("body_mass_g", "quantiles").collect()

# COMMAND ----------

# MAGIC %md
# MAGIC Penguins of the test set, sorted by the weight that was predicted: the band goes from the 10 % to the 90 %
# MAGIC limit, so about four of five points should lie in it.

# COMMAND ----------

plot = Plot(7.2, 3.4)
axes = plot.subplots()
low, middle, high = zip(*(row["quantiles"].toArray() for row in rows))
axes.fill_between(range(len(rows)), low, high, color="#56b4e9", alpha=0.4, label="from 10 % to 90 %")
axes.plot(range(len(rows)), middle, color="#0072b2", label="50 %")
axes.plot(range(len(rows)), [row["body_mass_g"] for row in rows], "o", color="#d55e00", markersize=4, label="weighed")
axes.set(xlabel="penguins, by the predicted weight", ylabel="grams")
axes.legend()
inside = sum(a <= row["body_mass_g"] <= b for a, b, row in zip(low, high, rows))
plot.alt = f"Predicted limits and weighed grams of {len(rows)} penguins: {inside} lie between both limits."
plot

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which columns matter
# MAGIC
# MAGIC `permutation_importance` deals out the values of one column anew among the rows, and measures how much worse the
# MAGIC predictions get. Here that is the mean absolute error, in grams.

# COMMAND ----------

from pyspark.ml.evaluation import RegressionEvaluator

from sparkwater.ml import permutation_importance
from sparkwater.plots import plot_importance

error = RegressionEvaluator(labelCol="body_mass_g", metricName="mae")
plot_importance(permutation_importance(weights, testing, error, repeats=3), measure="grams of error more")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Anomalies, without labels
# MAGIC
# MAGIC An autoencoder learns to give back what it gets, through a narrow middle: here 784 pixels have to pass through
# MAGIC 16 numbers. It learns what most digits have in common. A digit that is unlike the others comes back badly, and
# MAGIC its *reconstruction error* finds it. `anomalyThreshold=0.98` calls the two percent with the largest errors
# MAGIC anomalies.

# COMMAND ----------

from sparkwater.conversions import ImageToTensor, read_image_folder
from sparkwater.ml import AutoEncoder

decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
digits = decode.transform(read_image_folder(spark, f"{data}/testing")).drop("content").cache()
encoder = AutoEncoder(hidden=[128, 16, 128], epochs=15, batchSize=50, anomalyThreshold=0.98)
learned = encoder.fit(digits)
scored = learned.copy().setReconstructionCol("rebuilt").transform(digits).cache()
print(f"{scored.where('prediction = 1').count()} of {scored.count():,} digits are anomalies")

# COMMAND ----------

# MAGIC %md
# MAGIC The ordinary, which come back best: above the digit, below what came back.

# COMMAND ----------

import numpy as np

from sparkwater.plots import Picture, gallery


def with_reconstructions(rows):
    """Return a gallery of digits, and below them what the autoencoder made of them."""
    digits = [Picture(np.frombuffer(row["features"], "uint8").reshape(28, 28), row["label"]) for row in rows]
    rebuilt = [np.frombuffer(row["rebuilt"], "float32").reshape(28, 28) for row in rows]
    errors = [f"{row['reconstructionError']:.2f}" for row in rows]
    return gallery([*digits, *map(Picture, rebuilt, errors)], columns=len(rows))


columns = ["features", "rebuilt", "label", "reconstructionError"]
with_reconstructions(scored.orderBy("reconstructionError").select(columns).take(8))

# COMMAND ----------

# MAGIC %md
# MAGIC The strange, which come back worst: thick strokes, odd shapes, and digits that could be another one.

# COMMAND ----------

with_reconstructions(scored.orderBy("reconstructionError", ascending=False).select(columns).take(8))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The record
# MAGIC
# MAGIC H2O's Deep Learning held a record: 0.83 % test error on the whole MNIST by a plain network, without
# MAGIC convolutions, distorted pictures or ensembles, after 10 hours on 10 nodes. `make record` trains a plain network
# MAGIC on the same 60,000 digits with two workers, by virtual adversarial training (predictions are kept from
# MAGIC changing within a small distance of each digit) and averaged weights: 0.71, 0.70 and 0.77 % with three
# MAGIC seeds, each in less than ten minutes on two cores. It isn't run here, since it needs the full data set.
# MAGIC [Programs](../docs/programs.md#make-record) has the recipe and what was tried.
# MAGIC
# MAGIC **Next**: [deployment](08_deployment.py). More: [deep learning on tables](../docs/deep_learning.md),
# MAGIC [distributions](../docs/image_regressor.md), [autoencoder](../docs/autoencoder.md),
# MAGIC [explanations](../docs/explanations.md).
