"""The learners and the meta-learner of an ensemble as files, each by its own writer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparkwater.errors import CheckpointError

if TYPE_CHECKING:
    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

_FILE = "learners.json"


def write_learners(folder: NewFolder, learners: Mapping[str, Any], second: Mapping[str, Any], meta: Any) -> None:
    """Write learners of both levels by name, and a meta-learner where there is one: its name, or its stage."""
    named = isinstance(meta, str)
    stage = meta is not None and not named
    folder.write_json(
        _FILE,
        {
            "learners": list(learners),
            "secondLevelLearners": list(second),
            "metaLearner": stage,
            **({"metaName": meta} if named else {}),
        },
    )
    for place, learner in enumerate(learners.values()):
        folder.write_stage(f"learners/{place}", learner)
    for place, learner in enumerate(second.values()):
        folder.write_stage(f"second/{place}", learner)
    if stage:
        folder.write_stage("meta", meta)


def read_learners(folder: SavedFolder) -> dict[str, Any]:
    """Return what `write_learners` wrote, as the Params that were set.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged.
    UnsafeLoadError
        If a stage names a class or a network that nobody allowed.
    """
    fields = folder.read_json(_FILE)
    try:
        names, has_meta = [str(name) for name in fields["learners"]], bool(fields["metaLearner"])
        seconds = [str(name) for name in fields.get("secondLevelLearners", ())]
        meta_name = fields.get("metaName")
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{folder.path}/{_FILE} is damaged: {error!r}") from error
    learners = {name: folder.read_stage(f"learners/{place}") for place, name in enumerate(names)}
    second = {name: folder.read_stage(f"second/{place}") for place, name in enumerate(seconds)}
    return {
        **({"secondLevelLearners": second} if second else {}),
        **({"learners": learners} if learners else {}),
        **({"metaLearner": folder.read_stage("meta")} if has_meta else {}),
        **({"metaLearner": str(meta_name)} if meta_name is not None else {}),
    }
