"""The portfolio: the families that fit the rows, from cheap to dear."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sparkwater.stacking.automl.families import Family, Setup
from sparkwater.stacking.automl.network_families import picture_networks, pretrained_families, table_networks
from sparkwater.stacking.automl.spark_families import spark_families

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


def families_of(setup: Setup, frame: DataFrame) -> list[Family]:
    """Return the families that fit the rows, from cheap to dear.

    Small tables of numbers and categories have scikit-learn's learners, where it is installed; others have Spark's.
    Pictures have a pre-trained network's deep features, where a package with one is installed.
    """
    if setup.inputs.picture is not None:
        return [*picture_networks(setup), *pretrained_families(setup, frame)]
    return [*_plain_families(setup, frame.schema), *table_networks(setup)]


def _plain_families(setup: Setup, schema: StructType) -> list[Family]:
    if find_spec("sklearn") and find_spec("skops"):
        from sparkwater.stacking.automl.sklearn_families import MOST_ROWS, columns_by_role, sklearn_families

        roles = columns_by_role(schema, setup.inputs.columns)
        if roles is not None and setup.label.rows <= MOST_ROWS:
            return sklearn_families(setup, *roles)
    return spark_families(setup)
