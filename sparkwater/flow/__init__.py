"""Flow, the web face: data, training and models of a Spark session in a browser, every action with its Python.

A click becomes an action of `workbook`, which knows its Python. `work` runs it as a job, and keeps what it made under
the action's name. `views` turn what was made into plain values and HTML, and `pages` show these. `server` serves the
pages, and `guard` stands before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.flow.server import serve as serve
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"server": ("serve",)})
