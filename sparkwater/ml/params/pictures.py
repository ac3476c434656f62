"""Params of learners of pictures, and of tensors that are like them."""

from __future__ import annotations

import json
import math
from typing import Any

from sparkwater.conversions.stages.accepts import Accepts
from sparkwater.conversions.stages.params import HasImageShape
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.tensors.spec import TensorSpec, parts_of
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.rows.augmentation import Step, parse_augmentation
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.ml.params.learner import FeaturesParams, TrainingParams
from sparkwater.ml.params.network import NetworkParams


def _to_steps(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str):
        raise TypeError(f"augmentation={value!r}; accepted: a list of steps, or its JSON")
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigurationError(f"augmentation={value!r} is no JSON: {error}") from error


class PictureParams(FeaturesParams, HasImageShape):
    """Params of features that an estimator and its model share."""

    imageShape: Setting[list[int] | None] = setting(
        None,
        "[height, width, channels] in pixels, channels 1 (grey) or 3 (RGB). Pictures are resized to it (without it: to "
        "the network's own shape); vectors are read as pixels row by row, channels last",
    )


class PictureTrainingParams(NetworkParams, TrainingParams):
    """Params of the training on pictures."""

    inputMean: Setting[list[float] | None] = setting(
        None,
        "mean of each channel that the network was trained with, of pixels from 0 to 1, as torchvision states them; "
        "measured where it isn't set. Pictures of uint8 are divided by 255 first, other dtypes are taken as they are",
        accepts=Accepts(lambda means: all(map(math.isfinite, means)), "a finite number a channel"),
    )
    inputStd: Setting[list[float] | None] = setting(
        None,
        "standard deviation of each channel that the network was trained with, as inputMean",
        accepts=Accepts(lambda stds: all(0 < value < math.inf for value in stds), "a number above 0 a channel"),
    )

    augmentation: Setting[list[dict[str, Any]] | str] = setting(
        [],
        "random changes of the training pictures, never of others: a list of steps, or its JSON, such as "
        '[{"name": "shift", "pixels": 2}, {"name": "rotation", "degrees": 10}]. Each step has a name and arguments: '
        "shift (pixels), rotation (degrees), scale (factor), crop (area), flip (axis, probability), colour "
        "(brightness, contrast, saturation), erase (area, probability); see sparkwater.gpu.rows.augmentation",
        convert=_to_steps,
    )

    def augmentation_steps(self) -> tuple[Step, ...]:
        """Return the steps of augmentation.

        Raises
        ------
        ConfigurationError
            If there is no such step: with the step and what is accepted.
        """
        return parse_augmentation(self.getAugmentation())

    def check_training_params(self) -> None:
        """Refuse values out of range, and steps of augmentation that there aren't; see `TrainingParams`."""
        super().check_training_params()
        self.augmentation_steps()

    def check_network_params(self) -> None:
        """Refuse values that don't go together, and a mean without its deviation; see `NetworkParams`."""
        super().check_network_params()
        mean, deviation = self.getInputMean(), self.getInputStd()
        if (mean is None) != (deviation is None):
            raise ConfigurationError(f"inputMean={mean!r} and inputStd={deviation!r}; give both, or neither")

    def given_scalings(self, spec: TensorSpec) -> tuple[Scaling | None, ...]:
        """Return the scaling that the user gave for the pictures of a row; None for inputs to measure.

        Raises
        ------
        ConfigurationError
            If it has another number of channels, or there are no pictures.
        """
        mean, deviation = self.getInputMean(), self.getInputStd()
        if mean is None or deviation is None:
            return ()
        parts = parts_of(spec)
        if not any(len(part.shape) == 3 for part in parts):
            raise ConfigurationError(f"inputMean={mean!r} is for pictures; the features are {spec}")
        return tuple(_scaling(mean, deviation, part) if len(part.shape) == 3 else None for part in parts)


def _scaling(mean: list[float], deviation: list[float], spec: TensorSpec) -> Scaling:
    if {len(mean), len(deviation)} != {spec.shape[0]}:
        raise ConfigurationError(
            f"inputMean={mean!r} and inputStd={deviation!r}; pictures {spec} need {spec.shape[0]} numbers each"
        )
    # Pixels of uint8 go from 0 to 255; other dtypes are as the user made them.
    unit = 255.0 if spec.dtype == "uint8" else 1.0
    return Scaling(tuple(value * unit for value in mean), tuple(value * unit for value in deviation))
