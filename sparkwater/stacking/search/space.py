"""The space of a search: Params of an estimator's stages, each with a list of values or a distribution."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.ml import Pipeline
from pyspark.ml.param import Param, Params

from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.stacking.level_one.learners import last_stage

#: Values of some Params, by Param.
ParamMap = dict[Param[Any], Any]


@dataclass(frozen=True)
class Choice:
    """The values of one Param to choose from.

    Attributes
    ----------
    values : tuple of object
        A list of values; empty for a distribution.
    distribution : object
        A frozen distribution of `scipy.stats`, or None.
    """

    values: tuple[Any, ...] = ()
    distribution: Any = None

    @classmethod
    def of(cls, given: Any) -> Choice:
        """Return the choice that a space gives: a list, or a distribution."""
        return cls(distribution=given) if _is_distribution(given) else cls(tuple(given))

    def at(self, share: float) -> Any:
        """Return the value below which a share of the distribution lies, from 0 to 1; or of the list."""
        if self.distribution is None:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        # The quantile at 0 of whole numbers is one below the lowest.
        value = max(float(self.distribution.ppf(share)), float(self.distribution.support()[0]))
        return int(value) if hasattr(self.distribution.dist, "pmf") else value


@dataclass(frozen=True)
class Dimension:
    """One Param of the space.

    Attributes
    ----------
    name : str
        Its name in reports.
    param : pyspark.ml.param.Param
        The Param of one of the estimator's stages.
    choice : Choice
        Its values.
    """

    name: str
    param: Param[Any]
    choice: Choice


@dataclass(frozen=True)
class Space:
    """The Params to try out: dimensions to combine, or ParamMaps one by one.

    Attributes
    ----------
    dimensions : tuple of Dimension
        Combined freely; empty where there are maps.
    maps : tuple of ParamMap
        Combinations that were given as such, as Spark's ``ParamGridBuilder`` builds them.
    names : mapping of Param to str
        The name of each Param in reports.
    """

    dimensions: tuple[Dimension, ...]
    maps: tuple[ParamMap, ...]
    names: Mapping[Param[Any], str]

    @property
    def size(self) -> float:
        """The number of combinations; infinite with a distribution."""
        if self.maps:
            return len(self.maps)
        return math.prod(
            math.inf if one.choice.distribution is not None else len(one.choice.values) for one in self.dimensions
        )

    def combination(self, number: int) -> ParamMap:
        """Return a combination of lists by its number: the last Param's values change first."""
        if self.maps:
            return self.maps[number]
        chosen: ParamMap = {}
        for one in reversed(self.dimensions):
            number, place = divmod(number, len(one.choice.values))
            chosen[one.param] = one.choice.values[place]
        return {one.param: chosen[one.param] for one in self.dimensions}

    def draw(self, shares: Sequence[float]) -> ParamMap:
        """Return the combination at some shares, one for each dimension."""
        return {one.param: one.choice.at(share) for one, share in zip(self.dimensions, shares, strict=True)}

    def named(self, values: ParamMap) -> dict[str, Any]:
        """Return the values by the names of their Params."""
        return {self.names[param]: value for param, value in values.items()}


def read_space(estimator: Any, given: Any) -> Space:
    """Return a space, or refuse it; no job runs.

    Parameters
    ----------
    estimator : pyspark.ml.Estimator
        The estimator whose Params, or whose stages' Params, are tried.
    given : mapping or list
        Lists of values or frozen distributions by Param or by its name; or a list of ParamMaps.

    Raises
    ------
    ConfigurationError
        If it is empty, or names a Param that isn't there, or a value isn't one of the Param's.
    """
    if not given:
        raise ConfigurationError("the space is empty; give it values to try, such as space={'maxDepth': [3, 5]}")
    stages = list(stages_of(estimator))
    if isinstance(given, Mapping):
        dimensions = tuple(_dimension(stages, key, values) for key, values in given.items())
        names = _names(stages, [one.param for one in dimensions])
        return Space(tuple(replace(one, name=names[one.param]) for one in dimensions), (), names)
    if not isinstance(given, Sequence) or not all(isinstance(one, Mapping) for one in given):
        raise ConfigurationError(f"space={given!r}; accepted: a mapping of Params to values, or a list of ParamMaps")
    maps = tuple(
        {find_param(stages, key): _converted(find_param(stages, key), value) for key, value in one.items()}
        for one in given
    )
    return Space((), maps, _names(stages, [param for one in maps for param in one]))


def stages_of(stage: Any) -> Iterator[Any]:
    """Yield a stage and all stages in it: a pipeline's, an ensemble's learners, a validator's estimator."""
    yield stage
    inner: list[Any] = []
    if isinstance(stage, Pipeline):
        inner = list(stage.getStages())
    elif hasattr(stage, "getEstimator"):
        inner = [stage.getEstimator()]
    elif hasattr(stage, "getLearners"):
        inner = list(stage.getLearners().values())
    for one in inner:
        if isinstance(one, Params):
            yield from stages_of(one)


def find_param(stages: Sequence[Any], key: Any) -> Param[Any]:
    """Return the Param that a key means: itself, or one of that name of the last stage, or of the only stage with it.

    Raises
    ------
    ConfigurationError
        If there is none, or several.
    """
    if isinstance(key, Param):
        if not any(stage.uid == key.parent and stage.hasParam(key.name) for stage in stages):
            raise ConfigurationError(f"space names {key}, a Param of another estimator; {_accepted(stages)}")
        return key
    if not isinstance(key, str):
        raise ConfigurationError(f"space names {key!r}; accepted: Params, or their names")
    last = last_stage(stages[0])
    owners = [last] if last.hasParam(key) else [stage for stage in stages if stage.hasParam(key)]
    if not owners:
        raise ConfigurationError(f"space names the Param {key!r}, which is not there; {_accepted(stages)}")
    if len(owners) > 1:
        raise ConfigurationError(
            f"space names the Param {key!r}, which several stages have: {', '.join(map(_kind, owners))}; give the "
            "Param itself, such as stage.getParam('name')"
        )
    param: Param[Any] = owners[0].getParam(key)
    return param


def _accepted(stages: Sequence[Any]) -> str:
    listed = [f"{_kind(stage)}: {', '.join(param.name for param in stage.params)}" for stage in stages]
    return f"there are {'; '.join(listed)}"


def _kind(stage: Any) -> str:
    return type(stage).__name__


def _dimension(stages: Sequence[Any], key: Any, given: Any) -> Dimension:
    param = find_param(stages, key)
    if _is_distribution(given):
        _converted(param, Choice.of(given).at(0.5))
        return Dimension(param.name, param, Choice.of(given))
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
        raise ConfigurationError(
            f"space gives {param.name} {given!r}; accepted: a list of values, or a frozen distribution of scipy.stats"
        )
    if not given:
        raise ConfigurationError(f"space gives {param.name} no values; leave it out, or list one at least")
    return Dimension(param.name, param, Choice(tuple(_converted(param, value) for value in given)))


def _converted(param: Param[Any], value: Any) -> Any:
    """Return a value as the Param takes it, or refuse it."""
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    try:
        return param.typeConverter(plain)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"space gives {param.name} {value!r}: {error}") from error


def _names(stages: Sequence[Any], params: Sequence[Param[Any]]) -> dict[Param[Any], str]:
    """Return a name for each Param: its own, with its stage's class where two have the same."""
    distinct = list(dict.fromkeys(params))
    kinds = {stage.uid: _kind(stage) for stage in stages}
    shared = [param.name for param in distinct]
    return {
        param: param.name if shared.count(param.name) == 1 else f"{kinds[param.parent]}.{param.name}"
        for param in distinct
    }


def _is_distribution(given: Any) -> bool:
    return all(hasattr(given, name) for name in ("ppf", "rvs", "dist"))


def write_space(given: Any) -> Any:
    """Return a space as plain values, for JSON.

    Raises
    ------
    ConfigurationError
        If it holds values that JSON can't.
    """
    if isinstance(given, Mapping):
        plain: Any = {"lists": [[_write_key(key), _write_values(values)] for key, values in given.items()]}
    else:
        plain = {"maps": [[[_write_key(key), value] for key, value in one.items()] for one in given or ()]}
    try:
        json.dumps(plain)
    except TypeError as error:
        raise ConfigurationError(f"the space can't be saved: {error}; its values have to be those of JSON") from error
    return plain


def _write_key(key: Any) -> list[str]:
    return [key.parent, key.name] if isinstance(key, Param) else [str(key)]


def _write_values(values: Any) -> Any:
    if not _is_distribution(values):
        return {"values": list(values)}
    return {"distribution": values.dist.name, "args": list(values.args), "kwds": dict(values.kwds)}


def restore_space(estimator: Params, plain: Any) -> Any:
    """Return the space that `write_space` wrote.

    Raises
    ------
    CheckpointError
        If it isn't one.
    """
    stages = list(stages_of(estimator))
    try:
        if "maps" in plain:
            return [{_read_key(stages, key): value for key, value in one} for one in plain["maps"]]
        return {_read_key(stages, key): _read_values(values) for key, values in plain["lists"]}
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise CheckpointError(f"the saved space is damaged: {error!r}") from error


def _read_key(stages: Sequence[Any], key: Sequence[str]) -> Any:
    if len(key) == 1:
        return str(key[0])
    uid, name = key
    return next(stage for stage in stages if stage.uid == uid).getParam(name)


def _read_values(plain: Mapping[str, Any]) -> Any:
    if "values" in plain:
        return list(plain["values"])
    from scipy import stats

    family = getattr(stats, str(plain["distribution"]))
    if not isinstance(family, (stats.rv_continuous, stats.rv_discrete)):
        raise ValueError(f"scipy.stats.{plain['distribution']} is no distribution")
    return family(*plain["args"], **plain["kwds"])
