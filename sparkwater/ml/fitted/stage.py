"""Stages that hold a fitted network which isn't theirs to train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import ConfigurationError
from sparkwater.ml.fitted.files import read_network, write_network

if TYPE_CHECKING:
    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
    from sparkwater.ml.fitted.network import FittedNetwork


class HoldsNetwork(SavedStage):
    """Base of stages that look into a trained network, which is saved with them."""

    @property
    def fitted(self) -> FittedNetwork:
        """The fitted network.

        Raises
        ------
        ConfigurationError
            If there is none.
        """
        fitted: FittedNetwork | None = vars(self).get("_fitted")
        if fitted is None:
            raise ConfigurationError(
                f"{type(self).__name__} has no network; give it a trained model with setModel(model)"
            )
        return fitted

    @fitted.setter
    def fitted(self, fitted: FittedNetwork) -> None:
        self._fitted = fitted

    def _save_more(self, folder: NewFolder) -> None:
        write_network(folder, self.fitted)

    def _load_more(self, folder: SavedFolder) -> None:
        self.fitted = read_network(folder)
