"""Choice of a calibration by cross-validation, on the ensemble's out-of-fold probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sparkwater.stacking.calibration.isotonic import fit_isotonic
from sparkwater.stacking.combiners.blocks import Block, Blocks, Layout, Measure, Numbers
from sparkwater.stacking.combiners.choice import BEST, Choice, Method, choose
from sparkwater.stacking.combiners.losses import Combination, combined_outputs
from sparkwater.stacking.combiners.solvers import fit_best, fit_log_pool

NONE, TEMPERATURE, ISOTONIC, AUTO = "none", "temperature", "isotonic", "auto"

#: Values of the Param.
CALIBRATIONS = (NONE, TEMPERATURE, ISOTONIC, AUTO)


@dataclass(frozen=True)
class Combined:
    """Blocks of the ensemble's own outputs, as those of one learner.

    Attributes
    ----------
    blocks : Blocks
        Level one.
    column : mapping of int to Combination
        What scores each fold.
    """

    blocks: Blocks
    column: Mapping[int, Combination]

    def add_up(self, measures: Sequence[Measure]) -> list[Numbers]:
        """Return the sum of each measure over all blocks, added in the order of the blocks."""
        return self.blocks.add_up([partial(_of_whole, measure=measure, column=self.column) for measure in measures])


def _of_whole(block: Block, measure: Measure, column: Mapping[int, Combination]) -> Numbers:
    outputs = combined_outputs(block, column)[:, None, :]
    return measure(replace(block, outputs=outputs))


def calibrate(blocks: Blocks, outputs: int, how: str, folds: int) -> Choice:
    """Cross-validate a calibration, or the choice among all.

    A calibration's estimate is of fits without the folds that they score; its only learner is the ensemble as it is.

    Parameters
    ----------
    blocks : Blocks
        The ensemble's out-of-fold probabilities, as one learner.
    outputs : int
        Number of classes.
    how : {"temperature", "isotonic", "auto"}
        The calibration; ``auto`` takes the first of none, temperature and isotonic that can't be told from the best,
        and none where the choice doesn't help.
    folds : int
        Number of folds; 3 at least for ``auto``.
    """
    methods: dict[str, Method] = {
        BEST: partial(fit_best, metric="logLoss"),
        TEMPERATURE: partial(fit_log_pool, bias=False),
        ISOTONIC: fit_isotonic,
    }
    chosen = methods if how == AUTO else {how: methods[how]}
    return choose(blocks, Layout(1, 1 if outputs == 2 else outputs, True), chosen, folds)


def name_of(method: str) -> str:
    """Return what users call a method: the ensemble as it is has no calibration."""
    return NONE if method == BEST else method


def temperature_of(calibration: Combination) -> float:
    """Return the temperature that probabilities' logarithms are divided by; infinite where all become equal."""
    weight = calibration.weights[0]
    return 1.0 / weight if weight else float(np.inf)
