# Databricks notebook source
# MAGIC %md
# MAGIC # 5. Ensembles
# MAGIC
# MAGIC Several learners see the same digits in different ways. An ensemble combines their predictions, and is often
# MAGIC better than the best of them. The difficulty is to be honest: a combination must be learned from predictions of
# MAGIC rows that a learner has *not* seen. This notebook makes such predictions step by step, and learns the
# MAGIC combination from them.

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
# MAGIC Few rows to learn from, and many to test on: so learners make errors, and their differences can be measured.

# COMMAND ----------

from sparkwater.conversions import ImageToTensor, read_image_folder

decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
digits = decode.transform(read_image_folder(spark, f"{data}/testing")).drop("content")
training, testing = (part.cache() for part in digits.randomSplit([0.3, 0.7], seed=1))
print(f"{training.count():,} digits to learn from, {testing.count():,} to test")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Level zero: learners
# MAGIC
# MAGIC A network that sees pictures, one that sees 784 numbers, and a regression of Spark ML that sees the same
# MAGIC numbers. Any estimators and pipelines will do.

# COMMAND ----------

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression

from sparkwater.conversions import TensorToVector
from sparkwater.ml import ImageClassifier

pixels = TensorToVector(inputCol="features", outputCol="pixels")
regression = LogisticRegression(featuresCol="pixels", maxIter=15, regParam=0.02)
learners = {
    "lenet": ImageClassifier(network="lenet", epochs=4, batchSize=50),
    "perceptron": ImageClassifier(network="mlp", networkArguments={"hidden": [200]}, epochs=8, batchSize=50),
    "regression": Pipeline(stages=[pixels, regression]),
}

# COMMAND ----------

# MAGIC %md
# MAGIC ## Folds
# MAGIC
# MAGIC Each row gets a fold, from a hash of its path: the same files have the same folds on any number of machines.
# MAGIC `stratified` deals out each digit by itself, so all folds have about as many of it. Below, the rows of each
# MAGIC digit by fold.

# COMMAND ----------

from sparkwater.stacking import assign_folds

folded = assign_folds(training, 2, foldAssignment="stratified", labelCol="label", idCol="path").cache()
folded.groupBy("label").pivot("fold").count().orderBy("label").show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Level one: predictions of unseen rows
# MAGIC
# MAGIC `cross_fit` fits each learner twice, each time without one of the two folds, and lets it predict that fold. Put
# MAGIC together, every row has one prediction of each learner, by a model that never saw it. `keepModels` keeps these
# MAGIC models for later.

# COMMAND ----------

from sparkwater.stacking import cross_fit

level_one = cross_fit(learners, folded, "fold", labelCol="label", idCol="path", keepModels=True)
level_one.frame.printSchema()

# COMMAND ----------

# MAGIC %md
# MAGIC Each learner's column holds ten probabilities. Let us look at a digit of which the learners think differently:
# MAGIC one that the regression is right about and LeNet isn't.

# COMMAND ----------

import numpy as np

from sparkwater.plots import Picture, Plot, gallery


def taken_for(probabilities):
    return str(int(np.argmax(probabilities.toArray())))


rows = level_one.frame.select("features", "label", *learners).limit(300).collect()
row = next((row for row in rows if taken_for(row["lenet"]) != row["label"] == taken_for(row["regression"])), rows[0])
gallery([Picture(np.frombuffer(row["features"], "uint8").reshape(28, 28), f"labelled {row['label']}")])

# COMMAND ----------

# MAGIC %md
# MAGIC The ten probabilities by each of the three learners, for this digit. A learner that is wrong is often less sure;
# MAGIC this is what a combination can use.

# COMMAND ----------

plot = Plot(7.2, 2.6)
for axes, name in zip(plot.subplots(1, 3, sharey=True), learners):
    axes.bar(range(10), row[name].toArray(), color="#0072b2")
    axes.set(title=name, xticks=range(10), ylim=(0, 1))
plot.alt = f"What three learners think of a picture of a {row['label']}: bars of the probabilities of ten digits each."
plot

# COMMAND ----------

# MAGIC %md
# MAGIC ## The meta-learner
# MAGIC
# MAGIC The meta-learner reads these thirty numbers of each row, and learns how much to trust each learner. `pool` gives
# MAGIC each learner a share, so that the mixed probabilities are as good as can be; `auto`, the default, tries several
# MAGIC simple ways. The estimate is of rows that neither the learners nor the combination have seen. With
# MAGIC `finalModels="average"` the six models that are there already score new rows; `"refit"` would fit each learner
# MAGIC once more on all rows.

# COMMAND ----------

from sparkwater.stacking import StackedEnsemble

ensemble = StackedEnsemble(
    learners=learners,
    metaLearner="pool",
    foldCol="fold",
    idCol="path",
    finalModels="average",
    includeBasePredictions=True,
)
model = ensemble.fitLevelOne(folded, level_one)
print(model.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC The same as a picture, the best on top: the diamond is the ensemble, bars are 95 % intervals.

# COMMAND ----------

model.summary.plot("leaderboard")

# COMMAND ----------

# MAGIC %md
# MAGIC How much each learner counts. A learner that is worse alone can have a share, where it is right in other places.

# COMMAND ----------

model.summary.plot("weights")

# COMMAND ----------

# MAGIC %md
# MAGIC Can the ensemble's probabilities be believed? Of the rows for which it says 80 %, about 80 % should be right, so
# MAGIC points should lie on the diagonal. Above it the ensemble is right more often than it says. Bars are 95 %
# MAGIC intervals: they are long where there are few rows.

# COMMAND ----------

model.summary.plot("reliability")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Does it hold?
# MAGIC
# MAGIC The test digits have had no part in any of this. The ensemble is one model: it asks its learners and combines
# MAGIC them. Where intervals overlap, so many digits are too few to tell two models apart.

# COMMAND ----------

from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from sparkwater.plots import Measured, leaderboard

scored = model.transform(testing).cache()
rows, measured = scored.count(), []
for name in (*learners, "probability"):
    value = vector_to_array(F.col(name))
    found = F.array_position(value, F.array_max(value)) - 1
    error = scored.agg(F.avg((found != F.col("label")).cast("int"))).first()[0]
    reach = 1.96 * (error * (1 - error) / rows) ** 0.5
    measured.append(Measured(name.replace("probability", "ensemble"), error, error - reach, error + reach))
leaderboard(measured, f"share of {rows:,} test digits that are wrong", ["ensemble"])

# COMMAND ----------

# MAGIC %md
# MAGIC `model.summary.report(folder)` writes all this as one page of HTML. `StackedEnsemble(learners=learners,
# MAGIC numFolds=5).fit(rows)` does folds, level one and combination in one call.
# MAGIC
# MAGIC **Next**: [deep features and similar pictures](06_deep_features.py). More: [stacking](../docs/stacking.md), and
# MAGIC [why estimates don't leak](../docs/background/leak_proof.md).
