"""Params of early stopping, time limits, and the choice of the best epoch."""

from __future__ import annotations

from sparkwater.conversions.stages.accepts import at_least, between
from sparkwater.conversions.stages.settings import Setting, Settings, setting


class StoppingParams(Settings):
    """Params of stopping, with H2O's names and meanings."""

    stoppingRounds: Setting[int] = setting(
        0,
        "stop when the moving average of the metric over so many epochs hasn't improved for as many, as H2O; 0: never",
        accepts=at_least(0),
        field="stopping_rounds",
    )
    stoppingTolerance: Setting[float] = setting(
        0.0, "relative improvement that isn't enough", accepts=between(0, 1), field="stopping_tolerance"
    )
    overwriteWithBestModel: Setting[bool | None] = setting(
        None,
        "give the network of the best epoch by stoppingMetric; where it isn't set, this is done if there are "
        "validation rows or stoppingRounds",
    )
    maxRuntimeSecs: Setting[float] = setting(
        0.0,
        "seconds of training, reading of rows not counted, after which it ends with the step under way, or the next "
        "one; 0 for no limit",
        accepts=at_least(0),
        field="max_runtime_secs",
    )

    def keeps_best(self, validation: bool) -> bool:
        """Return whether the network becomes what it was after its best epoch."""
        chosen: bool | None = self.getOverwriteWithBestModel()
        return validation or self.getStoppingRounds() > 0 if chosen is None else chosen
