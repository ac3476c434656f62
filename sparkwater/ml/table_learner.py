"""Learners of tables: from raw columns to a trained model that scores raw rows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparkwater.conversions.tables.inputs import check_columns
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.describe import describe_entry
from sparkwater.gpu.networks.pretrained import Beginning
from sparkwater.ml.columns.features import FeatureColumn, encoded_features, table_features, trained_features
from sparkwater.ml.columns.rank_frame import RowSource
from sparkwater.ml.network_choice import NetworkChoice, begin, go_on
from sparkwater.ml.network_learner import M, NetworkLearner
from sparkwater.ml.tables.choice import (
    check_beginning,
    identity_scaling,
    layout_for,
    table_network,
    takes_ids,
    try_network,
)
from sparkwater.ml.tables.encoding import (
    columns_of,
    encode_sources,
    input_columns,
    is_of_columns,
    number_features,
    refuse_encoding,
    usable_labels,
)
from sparkwater.ml.tables.params import SHAPE_PARAMS, TableParams
from sparkwater.ml.tables.recipes import PLAIN_ENCODING, RECIPES, plain_params
from sparkwater.ml.warm_start import WarmStart, autoencoder_of, warm_network, warm_start_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

    from sparkwater.gpu.inspection.describe import NetworkDescription

logger = logging.getLogger(__name__)

#: Levels up to which a column becomes flags, for a network that takes no ids.
MOST_FLAGS = 1000


class TableLearner(TableParams, NetworkLearner[M]):
    """Base of the estimators that train on tables.

    The encoder of raw columns is fitted on the rows to train on, after all that can be known to be wrong was refused.
    It is a part of the model, which scores raw rows.
    """

    def usable_labels(self, schema: StructType) -> Column:
        """Return whether a row has a label that the task learns."""
        return usable_labels(schema, self.getLabelCol())

    def _fit(self, dataset: DataFrame) -> M:
        learner: TableLearner[M] = self.copy()
        start = warm_start_of(dataset.sparkSession, learner) if learner.getWarmStart() is not None else None
        if start is not None:
            learner._take_recipe_of(start)
        if not learner.getFeaturesCol() and learner.getInputCols() is None:
            learner._set(inputCols=learner._default_columns(dataset, start))
        logger.info("recipe %s, which sets %s", learner.getRecipe(), learner._choices())
        return super(TableLearner, learner)._fit(dataset)

    def _take_recipe_of(self, start: WarmStart) -> None:
        """Make the recipe of a warm start's network the default: another's rates could undo what it learned."""
        own = start.identity.name
        recipe = next((name for name, one in RECIPES.items() if one.of(self.kind).network == own), None)
        if recipe is not None:
            self._setDefault(recipe=recipe)
            self._take_defaults()

    def check_fit(self, dataset: DataFrame) -> NetworkChoice:
        """Refuse what every network refuses, and a label among the columns to learn from."""
        choice = super().check_fit(dataset)
        if self.getLabelCol() in [field.name for field in choice.features.inputs]:
            raise ConfigurationError(
                f"labelCol={self.getLabelCol()!r} is among the columns to learn from, "
                f"{[field.name for field in choice.features.inputs]!r}: a network would read the label off; accepted: "
                "inputCols without it, and a warmStart or pretrainedAutoencoder that learned without it"
            )
        return choice

    def _default_columns(self, dataset: DataFrame, start: WarmStart | None = None) -> list[str]:
        """Return the columns to learn from where the user names none."""
        if start is not None and start.encoder is not None:
            return columns_of(start.encoder)
        pretrained = autoencoder_of(dataset.sparkSession, self)
        if pretrained is not None and pretrained.encoder is not None:
            return columns_of(pretrained.encoder)
        return input_columns(dataset.schema, None, self._other_columns())

    def choose_network(self, dataset: DataFrame) -> NetworkChoice:
        """Return the network for rows of numbers; for raw columns one for any row, until an encoder is fitted."""
        spark = dataset.sparkSession
        if self.getWarmStart() is not None:
            start = warm_start_of(spark, self)
            refuse_encoding(self, f"{start.source}, whose encoder is kept")
            features = self._features_of(start, dataset.schema)
            return go_on(start, features, self._architecture(start), self.known_outputs)
        features = self._features(dataset.schema)
        pretrained = autoencoder_of(spark, self)
        if pretrained is not None and pretrained.encoder is not None:
            return self._begin_as(pretrained, features, dataset)
        if features.kind != "table":
            network = table_network(self, None)
            return begin(spark, network, features, self, outputs=self.known_outputs, pretrained=pretrained)
        if pretrained is not None:
            raise ConfigurationError(
                f"{pretrained.source} was trained on a features column, and the columns "
                f"{[field.name for field in features.inputs]} are to be encoded; accepted: an AutoEncoder with "
                "inputCols, or featuresCol with such rows"
            )
        network = try_network(self, self.known_outputs)
        check_beginning(spark, self, lambda row: table_network(self, layout_for(self, row)), self.known_outputs)
        return NetworkChoice(features, network, Beginning("paper"), ())

    def _begin_as(self, pretrained: WarmStart, given: FeatureColumn, dataset: DataFrame) -> NetworkChoice:
        """Return the network for rows that the encoder of a pretrained autoencoder encodes."""
        assert pretrained.encoder is not None  # by the caller
        refuse_encoding(self, f"{pretrained.source}, whose encoder is kept")
        asked = [field.name for field in given.inputs]
        if not is_of_columns(pretrained.encoder, asked):
            raise ConfigurationError(
                f"{pretrained.source} was trained on the columns {columns_of(pretrained.encoder)}, and these are "
                f"{asked or self.getFeaturesCols()}; accepted: the same inputCols, or none"
            )
        layout, features = pretrained.encoder.layout, encoded_features(dataset.schema, pretrained.encoder)
        network = table_network(self, layout)
        return begin(dataset.sparkSession, network, features, self, (), self.known_outputs, pretrained)

    def _features(self, schema: StructType) -> FeatureColumn:
        """Return the features of a training that begins anew, or refuse them."""
        given, columns = self.getFeaturesCol(), self.getInputCols()
        if given and columns:
            raise ConfigurationError(
                f"featuresCol={given!r} and inputCols={columns!r} are both set; features come from one of them, so "
                "clear the other"
            )
        if given:
            refuse_encoding(self, f"featuresCol={given!r}, whose numbers aren't encoded")
            return number_features(schema, given)
        names = input_columns(schema, columns, self._other_columns())
        check_columns(schema, names, self.getNumericCols(), self.getCategoricalCols())
        return table_features(schema, names)

    def _other_columns(self) -> list[str]:
        """Return the columns that other Params name, and those to leave out."""
        named = [param for param in self.params if param.name.endswith("Col") and self.isDefined(param)]
        return [*(self.getOrDefault(param) for param in named), *self.getIgnoredCols()]

    def _features_of(self, start: WarmStart, schema: StructType) -> FeatureColumn:
        """Return the features of the network to go on from, or refuse others."""
        given, columns = self.getFeaturesCol(), self.getInputCols()
        if start.encoder is None:
            if not given:
                raise ConfigurationError(
                    f"{start.source} has no encoder of columns: it learned from a features column, or is a checkpoint; "
                    "accepted: a model that learned from columns, or featuresCol with such rows"
                )
            return trained_features(schema, [given], start.identity.spec)
        features = encoded_features(schema, start.encoder)
        if given or not (columns is None or is_of_columns(start.encoder, columns)):
            raise ConfigurationError(
                f"{f'featuresCol={given!r}' if given else f'inputCols={columns!r}'}, but {start.source} was trained on "
                f"the columns {columns_of(start.encoder)}; a warm start keeps columns and encoder: leave it unset"
            )
        return features

    def _architecture(self, start: WarmStart) -> TableLearner[M]:
        """Return the learner with its network and arguments set, where a Param asks for them."""
        if not any(self.isSet(name) for name in (*SHAPE_PARAMS, "recipe", "network", "networkArguments")):
            return self
        entry = table_network(self, start.encoder.layout if start.encoder is not None else None)
        asked: TableLearner[M] = self.copy()
        network = self.getNetwork()
        return asked._set(network=network, networkArguments=dict(entry.arguments))

    def _encoded(self, choice: NetworkChoice, sources: list[RowSource]) -> tuple[NetworkChoice, list[RowSource]]:
        """Fit the encoder of raw columns on the rows to train on, and choose the network for its rows."""
        if choice.features.kind != "table" or choice.features.encoder is not None:
            return choice, sources
        settings = self.encoding()
        if not (takes_ids(self) or self.isSet("oneHotLevels")):
            settings["oneHotLevels"] = MOST_FLAGS
        frame = sources[0].frame
        features, encoded = encode_sources(sources, self.usable_labels(frame.schema), settings)
        assert features.encoder is not None  # it was fitted
        layout = features.encoder.layout
        network, scalings = table_network(self, layout), (identity_scaling(layout),)
        return begin(frame.sparkSession, network, features, self, scalings, self.known_outputs), encoded

    def _choices(self) -> dict[str, Any]:
        """Return the recipe, and the Params that are as it says, but for those that are as everywhere."""
        values = self.recipe_defaults().items()
        plain = {**plain_params(self.kind), **PLAIN_ENCODING}
        own = {name: value for name, value in values if not self.isSet(name) and value != plain.get(name)}
        return {"recipe": self.getRecipe(), **own}

    def fitPetastorm(self, url: str) -> M:
        """Train on a petastorm dataset, whose rows are tensors in ``featuresCol``; see `NetworkLearner.fitPetastorm`.

        Raises
        ------
        ConfigurationError
            If ``featuresCol`` isn't set: columns are encoded by ``fit``.
        """
        if not self.getFeaturesCol():
            raise ConfigurationError(
                "fitPetastorm needs featuresCol, a field of tensors; the columns of a table are encoded by fit"
            )
        return super().fitPetastorm(url)

    def describeNetwork(self) -> NetworkDescription:
        """Return the layers of the network of ``warmStart``; others follow from the table, so ask the model for them.

        Raises
        ------
        ConfigurationError
            Without ``warmStart``.
        """
        if self.getWarmStart() is None:
            raise ConfigurationError("the network follows from the columns of the table; describe the fitted model")
        start = warm_start_of(SparkSession.active(), self)
        network = warm_network(start, self._architecture(start))
        return describe_entry(network, start.identity.spec, start.identity.task.outputs)
