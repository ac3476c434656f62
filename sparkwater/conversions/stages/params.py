"""Params shared by conversions and learners."""

from __future__ import annotations

from collections.abc import Sequence

from sparkwater.conversions.stages.accepts import one_of
from sparkwater.conversions.stages.invalid import HANDLE_INVALID
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.errors import ConfigurationError


class HasHandleInvalid(Settings):
    """Mixin for ``handleInvalid``: the treatment of rows that can't be used."""

    handleInvalid: Setting[str] = setting(
        "error",
        "treatment of a row that can't be used (null, corrupt, wrong length, NaN): 'error' fails and names it; "
        "'skip' drops it (counted in a training summary); 'keep' keeps it with null results, and trains without it",
        accepts=one_of(*HANDLE_INVALID),
    )

    def getHandleInvalid(self) -> str:
        """Return the value of ``handleInvalid``.

        Raises
        ------
        ConfigurationError
            If it is none of the accepted values.
        """
        value: str = self.accepted_value("handleInvalid")
        return value


class HasIdCol(Settings):
    """Mixin for ``idCol``: the column that names a row in errors and reports."""

    idCol: Setting[str | None] = setting(
        None,
        "column whose value names a row in errors and reports; without it a URI, an image's origin, a column 'path' "
        "or a hash of the content does",
    )


class HasDtype(Settings):
    """Mixin for ``dtype``: what the tensors hold."""

    dtype: Setting[str | None] = setting(
        None, "dtype of the tensors; without it the one that holds the input's numbers exactly"
    )


class HasImageShape(Settings):
    """Mixin for ``imageShape``: height, width and channels of the pictures."""

    imageShape: Setting[list[int] | None] = setting(
        None, "[height, width, channels] in pixels, channels 1 (grey) or 3 (RGB)"
    )

    def getImageShape(self) -> list[int] | None:
        """Return the value of ``imageShape``, or None where it isn't set.

        Raises
        ------
        ConfigurationError
            If it isn't three sizes of at least 1 with 1 or 3 channels.
        """
        if not self.isDefined(self.imageShape):
            return None
        shape = self.getOrDefault(self.imageShape)
        if shape is not None:
            check_image_shape(shape)
        return shape


def check_image_shape(shape: Sequence[int]) -> None:
    """Refuse what can't be the height, width and channels of a picture."""
    if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
        raise ConfigurationError(
            f"imageShape={list(shape)!r}; accepted: [height, width, channels] sizes from 1 up, channels 1 or 3"
        )
