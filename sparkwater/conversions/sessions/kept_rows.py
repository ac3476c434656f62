"""Rows that a Spark Connect server keeps for a client.

Spark's own object of such rows asks the server to drop them wherever it is collected as garbage, without a deadline:
in any thread, also while gRPC holds a lock that the answer needs, and the client stands still (SPARK-58846). Here
garbage collection notes the name only, and the next request from this package drops what was noted.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql.connect.plan import CachedRemoteRelation, RemoveRemoteCachedRelation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

#: Rows that nobody refers to any more, by their session and name.
_unused: deque[tuple[str, str]] = deque()


class _KeptRows(CachedRemoteRelation):
    def __del__(self) -> None:
        _unused.append((self._spark_session.session_id, self._relation_id))


def keep_rows(spark: Any, frame: DataFrame) -> DataFrame:
    """Return the rows as they are now, computed at once and kept by the executors; earlier unused ones are dropped."""
    drop_unused(spark)
    kept: Any = frame.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK)
    kept._plan.__class__ = _KeptRows
    return kept


def drop_unused(spark: Any) -> None:
    """Ask the server of a session to drop the rows that nobody refers to any more."""
    for _ in range(len(_unused)):
        session, name = _unused.popleft()
        if session == spark.session_id:
            unused: Any = CachedRemoteRelation(name, None)  # type: ignore[arg-type]
            try:
                spark.client.execute_command(RemoveRemoteCachedRelation(unused).command(spark.client))
            except Exception as error:
                logger.warning("kept rows could not be dropped: %s", error)
