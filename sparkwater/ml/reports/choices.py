"""Values that a fit chose for settings that the user left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkwater.gpu.job import RankJob
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rows.scaling import Scaling, scalings_in


def resolve(job: RankJob, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the value of each open choice, by the names of Params and of other settings.

    Values that differ between ranks are a list, in order of rank. All values are such that JSON holds them.

    Parameters
    ----------
    job : RankJob
        The job of the ranks.
    outcomes : sequence of Outcome
        The outcomes of all ranks.
    """
    first = outcomes[0]
    assert first.scaling is not None  # every rank that didn't fail has one
    scalings = scalings_in(first.scaling)
    given = job.scalings or (None,) * len(scalings)
    by_rank = [{"device": outcome.device, **outcome.resolved} for outcome in outcomes]
    return {
        "network": job.network.name,
        "collective": job.collective,
        "overwriteWithBestModel": job.config.keep_best,
        **job.task.choices(),
        "scaling": [
            {
                "mean": list(scaling.mean),
                "deviation": list(scaling.deviation),
                "by": _source(scaling, known),
            }
            for scaling, known in zip(scalings, given, strict=True)
        ],
        **{name: _alike([rank[name] for rank in by_rank]) for name in by_rank[0]},
    }


def _source(scaling: Scaling, given: Scaling | None) -> str:
    if not scaling.mean:
        return "nothing: they are ids"
    if given is not None and not any(given.mean) and set(given.deviation) == {1.0}:
        return "nothing: they are scaled already"
    return "training rows" if given is None else "inputMean and inputStd, or the model of warmStart"


def _alike(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else values
