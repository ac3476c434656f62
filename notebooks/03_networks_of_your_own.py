# Databricks notebook source
# MAGIC %md
# MAGIC # 3. Networks of your own
# MAGIC
# MAGIC A network comes by its name, as a function that builds it, or as a module of PyTorch. This notebook looks at
# MAGIC some, draws them, writes two, and lets all learn the same digits.

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
# MAGIC ## Networks by name
# MAGIC
# MAGIC Winners of the ImageNet contest and smaller ones are there by name. `describeNetwork` follows a picture without
# MAGIC values through the layers, so the largest network is described at once: how many weights it has, and how many
# MAGIC multiplications one picture costs.

# COMMAND ----------

from sparkwater.ml import ImageClassifier

for name in ("mlp", "lenet", "convnet", "mobilenet_v3_small", "resnet50", "vgg16"):
    described = ImageClassifier(network=name, imageShape=[64, 64, 3]).describeNetwork(numClasses=10)
    print(f"{name:20} {described.parameters:>12,} weights {described.multiply_adds:>14,} multiply-adds")

# COMMAND ----------

# MAGIC %md
# MAGIC An estimator describes its own network, layer by layer, with a drawing of the graph. Blue boxes have weights.
# MAGIC Here it is LeNet for our digits.

# COMMAND ----------

ImageClassifier(network="lenet", imageShape=[28, 28, 1]).describeNetwork(numClasses=10)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A function that builds a network
# MAGIC
# MAGIC It gets the shape of a picture, channels first, and the number of classes. `register_network` gives it a name;
# MAGIC the arguments after these two are set by `networkArguments`.

# COMMAND ----------

from torch import nn

from sparkwater.gpu.networks import register_network


@register_network("small", image_shape=(28, 28, 1))
def small(shape, classes, filters=8):
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * filters * (height // 4) * (width // 4), classes),
    )


print(ImageClassifier(network="small", imageShape=[28, 28, 1]).describeNetwork(numClasses=10))

# COMMAND ----------

# MAGIC %md
# MAGIC ## A module of PyTorch
# MAGIC
# MAGIC Any `torch.nn.Module` will do. This one adds a layer's input to its output, as residual networks do. The drawing
# MAGIC shows the way around.

# COMMAND ----------


class Around(nn.Module):
    """A small network with a way around one of its layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(16 * 7 * 7, 10)

    def forward(self, pictures):
        first = self.first(pictures).relu()
        return self.last(self.pool(first + self.middle(first).relu()).flatten(1))


ImageClassifier(network=Around(), imageShape=[28, 28, 1]).describeNetwork()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The same digits for all
# MAGIC
# MAGIC Four networks learn the same rows, and the same rows are kept back to measure them: `validationFraction` chooses
# MAGIC them by a hash of their content. `mlp` is a perceptron, whose layers `networkArguments` sets.

# COMMAND ----------

from sparkwater.conversions import ImageToTensor, read_image_folder

decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
digits = decode.transform(read_image_folder(spark, f"{data}/testing")).drop("content").cache()

networks = {
    "lenet": ImageClassifier(network="lenet"),
    "small": ImageClassifier(network="small", networkArguments={"filters": 12}),
    "around": ImageClassifier(network=Around()),
    "perceptron": ImageClassifier(network="mlp", networkArguments={"hidden": [128], "batch_norm": True}),
}
errors = {}
for name, classifier in networks.items():
    model = classifier.setParams(epochs=5, batchSize=50, validationFraction=0.3).fit(digits)
    errors[name] = [record.validation.error for record in model.summary.records]
    print(f"{name:12} {errors[name][-1]:.1%} wrong")

# COMMAND ----------

# MAGIC %md
# MAGIC The last figure hides the way there. One picture with all four shows which network learns fast, which one isn't
# MAGIC done after five epochs, and which one jumps up and down.

# COMMAND ----------

from sparkwater.plots import learning_curves

learning_curves({"share of validation rows that are wrong": errors})

# COMMAND ----------

# MAGIC %md
# MAGIC Networks of Keras and graphs in ONNX files come in by `network`, too.
# MAGIC
# MAGIC **Next**: [pre-trained networks](04_pretrained_networks.py). More: [networks](../docs/networks.md).
