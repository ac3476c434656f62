"""Params shared by conversions and learners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.conversions.stages.invalid import HANDLE_INVALID
from sparkwater.errors import ConfigurationError

P = TypeVar("P", bound=Params)


class HasHandleInvalid(Params):
    """Mixin for ``handleInvalid``: treatment of rows that can't be used."""

    handleInvalid: Param[str] = Param(
        Params._dummy(),
        "handleInvalid",
        "what to do with a row that can't be used (null, corrupt, wrong length, NaN): 'error' fails and names it; "
        "'skip' drops it (counted in a training summary); 'keep' keeps it with null results, and trains without it",
        typeConverter=TypeConverters.toString,
    )

    def getHandleInvalid(self) -> str:
        """Return the value of ``handleInvalid``.

        Raises
        ------
        ConfigurationError
            If it is none of the accepted values.
        """
        value: str = self.getOrDefault(self.handleInvalid)
        if value not in HANDLE_INVALID:
            raise ConfigurationError(f"handleInvalid={value!r}; accepted: {', '.join(HANDLE_INVALID)}")
        return value


class HasIdCol(Params):
    """Mixin for ``idCol``: the column that names a row in errors and reports."""

    idCol: Param[str] = Param(
        Params._dummy(),
        "idCol",
        "column whose value names a row in errors and reports; without it a URI, an image's origin, a column 'path' "
        "or a hash of the content does",
        typeConverter=TypeConverters.toString,
    )

    def getIdCol(self) -> str | None:
        """Return the value of ``idCol``, or None where it isn't set."""
        return self.getOrDefault(self.idCol) if self.isDefined(self.idCol) else None


class HasDtype(Params):
    """Mixin for ``dtype``: the dtype of the tensors."""

    dtype: Param[str] = Param(
        Params._dummy(),
        "dtype",
        "dtype of the tensors; without it the one that holds the input's numbers exactly",
        typeConverter=TypeConverters.toString,
    )

    def getDtype(self) -> str | None:
        """Return the value of ``dtype``, or None where it isn't set."""
        return self.getOrDefault(self.dtype) if self.isDefined(self.dtype) else None


class HasImageShape(Params):
    """Mixin for ``imageShape``: height, width and channels of the pictures."""

    imageShape: Param[list[int]] = Param(
        Params._dummy(),
        "imageShape",
        "[height, width, channels] in pixels, channels 1 (grey) or 3 (RGB)",
        typeConverter=TypeConverters.toListInt,
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
        shape: list[int] = self.getOrDefault(self.imageShape)
        check_image_shape(shape)
        return shape


def check_image_shape(shape: Sequence[int]) -> None:
    """Refuse what can't be the height, width and channels of a picture."""
    if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
        raise ConfigurationError(
            f"imageShape={list(shape)!r}; accepted: [height, width, channels] sizes from 1 up, channels 1 or 3"
        )


def with_setters(stage: type[P]) -> type[P]:
    """Class decorator: give a stage ``setX(value)`` for each of its Params that has none."""
    for name in dir(stage):
        param = getattr(stage, name)
        setter = f"set{name[0].upper()}{name[1:]}"
        if isinstance(param, Param) and not hasattr(stage, setter):
            setattr(stage, setter, _setter(setter, param))
    return stage


def _setter(name: str, param: Param[Any]) -> Callable[[Any, Any], Any]:
    def set_value(self: Any, value: Any) -> Any:
        return self._set(**{param.name: value})

    set_value.__name__ = name
    set_value.__doc__ = f"Set ``{param.name}``: {param.doc}."
    return set_value
