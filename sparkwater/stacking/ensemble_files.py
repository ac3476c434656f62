"""The learners and the meta-learner of an ensemble as files, each by its own writer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparkwater.errors import CheckpointError

if TYPE_CHECKING:
    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

_FILE = "learners.json"


def write_learners(folder: NewFolder, learners: Mapping[str, Any], meta: Any) -> None:
    """Write learners by name, and a meta-learner where it isn't None."""
    folder.write_json(_FILE, {"learners": list(learners), "metaLearner": meta is not None})
    for place, learner in enumerate(learners.values()):
        folder.write_stage(f"learners/{place}", learner)
    if meta is not None:
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
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{folder.path}/{_FILE} is damaged: {error!r}") from error
    learners = {name: folder.read_stage(f"learners/{place}") for place, name in enumerate(names)}
    return {
        **({"learners": learners} if learners else {}),
        **({"metaLearner": folder.read_stage("meta")} if has_meta else {}),
    }
