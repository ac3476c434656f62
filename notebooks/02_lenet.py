# Databricks notebook source
# MAGIC %md
# MAGIC # 2. LeNet
# MAGIC
# MAGIC LeNet is the network that read cheques in the 1990s: two layers of small filters, two layers of plain units.
# MAGIC Here it learns 2,000 handwritten digits with two Spark tasks, and we look at how it learned, what it gets wrong,
# MAGIC and why.

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
# MAGIC Training rows and test rows are in folders of their own. A fifth of the training digits is enough here; with all
# MAGIC of them (`make demo`) there are fewer errors to look at.

# COMMAND ----------

from sparkwater.conversions import ImageToTensor, read_image_folder

decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
training = decode.transform(read_image_folder(spark, f"{data}/training").sample(0.2, seed=1)).drop("content").cache()
testing = decode.transform(read_image_folder(spark, f"{data}/testing")).drop("content").cache()
print(f"{training.count():,} digits to learn from, {testing.count():,} to test")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train
# MAGIC
# MAGIC `ImageClassifier` is an Estimator like those of Spark ML. `numWorkers=2` asks for two tasks that run at the same
# MAGIC time: each holds a half of the rows, and after each batch they add up what they learned from it, so both have
# MAGIC the same network all the time. A tenth of the rows is kept back, to see how it does on digits that it doesn't
# MAGIC learn from.

# COMMAND ----------

from sparkwater.ml import ImageClassifier

lenet = ImageClassifier(network="lenet", numWorkers=2, epochs=6, batchSize=64, validationFraction=0.1)
model = lenet.fit(training)
print(model.summary)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How it learned
# MAGIC
# MAGIC Learning curves show the loss, which is what training makes small, and other metrics after each pass over the
# MAGIC rows (an *epoch*). While both lines fall, it still learns; when only the line of the training rows does, it has
# MAGIC begun to learn them by heart. The dotted line marks the epoch that was best on the rows kept back; the model has
# MAGIC its weights.

# COMMAND ----------

model.summary.plot()

# COMMAND ----------

# MAGIC %md
# MAGIC ## How good it is
# MAGIC
# MAGIC Only rows that it never saw can tell. `transform` adds the prediction and the probabilities to the test digits,
# MAGIC and the confusion matrix counts what each digit (a row) was taken for (a column).

# COMMAND ----------

from sparkwater.ml import confusion_matrix

scored = model.transform(testing).cache()
matrix = confusion_matrix(scored, "label", "predictedLabel")
print(f"{matrix.errors:.0f} of {matrix.rows:,.0f} digits are wrong: {matrix.error:.1%}")
matrix.plot()

# COMMAND ----------

# MAGIC %md
# MAGIC By digit: precision is the share that is right among those taken for this digit, recall the share of this
# MAGIC digit's pictures that were found, and F1 is near the lower one of both (their harmonic mean).

# COMMAND ----------

from sparkwater.plots import class_bars

scores = {name: [getattr(one, name) for one in matrix.classes] for name in ("precision", "recall", "f1")}
class_bars(matrix.labels, scores)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What it gets wrong
# MAGIC
# MAGIC The pictures whose own digit it found least probable, with what it took them for and how sure it was. Some of
# MAGIC them are hard for people, too.

# COMMAND ----------

from sparkwater.plots import plot_largest_losses

plot_largest_losses(scored, classes=model.classes)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Where it looked
# MAGIC
# MAGIC `Attributions` adds a map to each row: light are the pixels that spoke for the digit that it chose, dark those
# MAGIC that spoke against it (integrated gradients). First the pictures with their labels.

# COMMAND ----------

from sparkwater.ml import Attributions
from sparkwater.plots import plot_pictures

explain = Attributions(model=model, method="integratedGradients")
some = explain.transform(scored.where("label in ('4', '7', '9')").limit(6)).cache()
plot_pictures(some, "features", ["label"])

# COMMAND ----------

# MAGIC %md
# MAGIC And their maps, with what they were taken for. Strokes that make a digit what it is are light; a dark place is
# MAGIC where the picture looked like another digit.

# COMMAND ----------

plot_pictures(some, "attribution", ["predictedLabel"])

# COMMAND ----------

# MAGIC %md
# MAGIC **Next**: [networks of your own](03_networks_of_your_own.py). More: [the image
# MAGIC classifier](../docs/image_classifier.md), [plots](../docs/plots.md), [explanations](../docs/explanations.md).
