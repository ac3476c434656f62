"""Networks of Keras as users bring them: tests name them by import path, and give this file to the executors."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def pictures(shape: tuple[int, int, int], classes: int, dropout: float = 0.5, activation: str | None = None) -> Any:
    """Statistics that batches leave behind, and units that are dropped."""
    channels, height, width = shape
    return keras.Sequential(
        [
            keras.Input((height, width, channels)),
            layers.Conv2D(4, 5, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(dropout, seed=7),  # a seeded one has a state of its own in Keras
            layers.Dense(16, activation="relu", name="penultimate_layer"),
            layers.Dense(classes, activation=activation),
        ]
    )


def channels_first(shape: tuple[int, int, int], classes: int) -> Any:
    """A model that takes pictures as torch does."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(4, 5, activation="relu", data_format="channels_first"),
            layers.Flatten(),
            layers.Dense(classes),
        ]
    )


def with_blocks(shape: tuple[int, int, int], classes: int) -> Any:
    """A functional model with a model inside, a shared layer, and a softmax for a last layer."""
    channels, height, width = shape
    block = keras.Sequential([layers.Conv2D(3, 3, padding="same"), layers.ReLU(name="output")], name="block")
    pictures = keras.Input((height, width, channels))
    values = block(pictures)
    shared = layers.Dense(3)
    values = layers.Add()([shared(values), shared(block(values))]) if channels == 3 else shared(values)
    values = layers.Dense(classes)(layers.GlobalAveragePooling2D()(values))
    return keras.Model(pictures, layers.Softmax()(values))


class Noisy(keras.layers.Layer):
    """A layer with noise that nothing seeds."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return inputs + keras.random.normal(inputs.shape) if training else inputs


class Subclassed(keras.Model):
    """A model without an Input: it has weights from its first call on."""

    def __init__(self, classes: int, final: str = "linear", **more: Any) -> None:
        super().__init__(**more)
        self.noise = Noisy()
        self.flat = layers.Flatten()
        self.hidden = layers.Dense(8, activation="relu", kernel_regularizer="l2" if final == "regularized" else None)
        self.head = layers.Dense(classes, activation="softmax" if final == "softmax" else None)
        self.offset = self.add_weight(shape=(classes,), initializer="zeros", name="offset")

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.head(self.hidden(self.flat(self.noise(inputs, training=training)))) + self.offset * 0


def wrong_size(shape: tuple[int, int, int], classes: int) -> Any:
    return keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten(), layers.Dense(classes)])
