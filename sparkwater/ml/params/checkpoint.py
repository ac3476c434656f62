"""Params of checkpoints and restarts."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.training.checkpoints import CheckpointFolder
from sparkwater.ml.params.declaring import at_least, declare, location, refuse_unless


class CheckpointParams(Params):
    """Params of checkpoints and restarts."""

    checkpointDir: Param[str] = declare(
        "checkpointDir",
        "folder for checkpoints that all executors reach; a fit whose rows, settings and workers are those of an "
        "earlier one goes on where that one stopped",
        location("checkpointDir"),
    )
    checkpointInterval: Param[int] = declare(
        "checkpointInterval",
        "steps between checkpoints within an epoch (>= 0); 0 for one after each epoch only",
        TypeConverters.toInt,
    )
    maxRestarts: Param[int] = declare(
        "maxRestarts",
        "how often a training starts again when an executor or a worker is lost or stands still (>= 0); it goes on "
        "from the last checkpoint, or from the beginning without checkpointDir",
        TypeConverters.toInt,
    )

    def getCheckpointDir(self) -> str | None:
        """Return the value of ``checkpointDir``, or None."""
        return self.getOrDefault(self.checkpointDir) if self.isDefined(self.checkpointDir) else None

    def getCheckpointInterval(self) -> int:
        """Return the value of ``checkpointInterval``."""
        return self.getOrDefault(self.checkpointInterval)

    def getMaxRestarts(self) -> int:
        """Return the value of ``maxRestarts``."""
        return self.getOrDefault(self.maxRestarts)

    def check_checkpoint_params(self) -> None:
        """Refuse values out of range, and a folder that nothing here reaches.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        for name in ("checkpointInterval", "maxRestarts"):
            refuse_unless(self, name, at_least(0), "integers from 0 up")
        directory = self.getCheckpointDir()
        if directory is not None:
            CheckpointFolder(directory)
        elif self.getCheckpointInterval():
            raise ConfigurationError(
                f"checkpointInterval={self.getCheckpointInterval()} needs a checkpointDir; set one, or leave it at 0"
            )
