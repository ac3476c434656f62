"""Params of checkpoints and restarts."""

from __future__ import annotations

from sparkwater.conversions.stages.accepts import at_least, location
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.training.checkpoints import CheckpointFolder


class CheckpointParams(Settings):
    """Params of checkpoints and restarts."""

    checkpointDir: Setting[str | None] = setting(
        None,
        "folder for checkpoints that the driver and all executors reach, by a path or any URL that pyarrow or fsspec "
        "reads; a fit whose rows, settings and workers are those of an earlier one goes on where that one stopped. "
        "Each training has a folder of its own in it, found by what it is: its rows, settings, network, workers, and "
        "the versions of torch and sparkwater. A fit of a training that broke off goes on at its last checkpoint, bit "
        "for bit as if nothing had happened; one of a training that is done trains nothing. Checkpoints stay until "
        "you delete them",
        convert=location("checkpointDir"),
    )
    checkpointInterval: Setting[int] = setting(
        0,
        "steps between checkpoints within an epoch; 0 for one after each epoch only. The newest two are kept",
        accepts=at_least(0),
    )
    maxRestarts: Setting[int] = setting(
        0,
        "number of times that a training starts again when an executor or a worker is lost or stands still; it goes "
        "on from the last checkpoint, or from the beginning without checkpointDir. Errors of the network or the rows "
        "are not tried again",
        accepts=at_least(0),
    )

    def check_checkpoint_params(self) -> None:
        """Refuse a folder that nothing here reaches, and an interval without a folder.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        directory = self.getCheckpointDir()
        if directory is not None:
            CheckpointFolder(directory).check()
        elif self.getCheckpointInterval():
            raise ConfigurationError(
                f"checkpointInterval={self.getCheckpointInterval()} needs a checkpointDir; set one, or leave it at 0"
            )
