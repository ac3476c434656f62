"""A flow on small pictures: its frames, and a network that was trained on them through actions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pyspark.sql import SparkSession

from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.actions.training import Fit
from sparkwater.flow.workbook.code import Code

#: A network that learns these pictures in a second.
QUICK = {"network": "mlp", "networkArguments": {"hidden": [16]}, "epochs": 3.0, "batchSize": 32, "seed": 7}


@dataclass(frozen=True)
class Bars(Action):
    """Pictures of bars in noise: ``id``, ``features`` or ``content``, and ``label``."""

    kind: ClassVar[str] = "bars"

    result: str
    rows: int
    seed: int
    function: str = "tensor_frame"

    @property
    def title(self) -> str:
        return f"Make {self.result}"

    def code(self) -> Code:
        call = f"{self.function}(spark, {self.rows}, seed={self.seed}).cache()"
        return Code((f"from digits import {self.function}",), (f"{self.result} = {call}",))


def workspace(spark: SparkSession, folder: Path) -> Workspace:
    """Return a workspace with the frames ``bars``, ``rest`` and ``coded``, and the model ``network``."""
    made = Workspace(spark, Folders([folder]))
    for action in (
        Bars("bars", 160, 0),
        Bars("rest", 60, 1),
        Bars("coded", 60, 2, "png_frame"),
        Fit("network", "bars", "ImageClassifier", {**QUICK, "validationFraction": 0.25}),
    ):
        made.run(action)
    return made
