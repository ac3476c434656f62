"""The parts of a flow that all pages work on."""

from __future__ import annotations

from dataclasses import dataclass

from sparkwater.flow.work.jobs import Jobs
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.workbook import Workbook


@dataclass(frozen=True)
class Desk:
    """The variables, jobs and cells of one flow, which all windows share.

    Attributes
    ----------
    workspace : Workspace
        The session, the folders and the variables.
    jobs : Jobs
        Jobs that run and ran.
    workbook : Workbook
        The cells.
    """

    workspace: Workspace
    jobs: Jobs
    workbook: Workbook
