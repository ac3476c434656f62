"""The actions, by kind."""

from __future__ import annotations

from typing import Any

from sparkwater.flow.workbook.actions import base
from sparkwater.flow.workbook.actions.base import Action as Action
from sparkwater.flow.workbook.actions.base import to_json as to_json
from sparkwater.flow.workbook.actions.keeping import ExportBundle, SaveModel
from sparkwater.flow.workbook.actions.reading import ReadPictures
from sparkwater.flow.workbook.actions.scoring import Evaluate, ExtractFeatures, NearestRows, Score, WrongRows
from sparkwater.flow.workbook.actions.splitting import SplitFrame
from sparkwater.flow.workbook.actions.tables import ChangeTypes, ReadCsv, ReadJson, ReadParquet
from sparkwater.flow.workbook.actions.training import Define, Fit

#: All actions that a workbook may hold. A new one is added here.
ACTIONS: tuple[type[Action], ...] = (
    ReadPictures,
    ReadCsv,
    ReadParquet,
    ReadJson,
    ChangeTypes,
    SplitFrame,
    Define,
    Fit,
    Score,
    WrongRows,
    Evaluate,
    ExtractFeatures,
    NearestRows,
    SaveModel,
    ExportBundle,
)

KINDS: dict[str, type[Action]] = {action.kind: action for action in ACTIONS}


def from_json(content: Any) -> Action:
    """Return the action of what `to_json` gave; refuses all else with a ConfigurationError."""
    return base.from_json(content, KINDS)
