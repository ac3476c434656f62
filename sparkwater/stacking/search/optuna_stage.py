"""``OptunaSearch``: Params by Optuna's samplers, and networks that are behind ended early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.accepts import at_least
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.errors import ConfigurationError
from sparkwater.stacking.level_one.learners import last_stage
from sparkwater.stacking.search.exploring import Candidate, Propose
from sparkwater.stacking.search.pruning import Pruner
from sparkwater.stacking.search.records import Trial
from sparkwater.stacking.search.space import ParamMap, Space
from sparkwater.stacking.search.stages import Search

if TYPE_CHECKING:
    from optuna import Study

#: Proposals in vain, of combinations that were tried before, after which the search ends.
_IN_VAIN = 20


class OptunaSearch(Search):
    """Try combinations that Optuna's tree-structured Parzen estimator proposes, by the trials before.

    Trials are told to Optuna in their order. As many are proposed at a time as the slots need, so the same seed,
    slots and Params give the same trials. Networks whose loss is above the median of the trials before, epoch by
    epoch, end early: such a trial is recorded with its reason, and its other folds aren't fitted. Source: Bergstra,
    Bardenet, Bengio and Kegl, Algorithms for Hyper-Parameter Optimization, NIPS 2011; Golovin et al., Google Vizier,
    KDD 2017, section 3.3, for the rule of the median.
    """

    _class_defaults = {"maxModels": 20}
    _adaptive = True

    startupTrials: Setting[int] = setting(5, "random trials before Optuna's proposals", accepts=at_least(1))
    pruning: Setting[bool] = setting(
        True, "whether networks that are behind end early; learners without callbacks are fitted to their end"
    )

    def _check_space(self, space: Space) -> None:
        if find_spec("optuna") is None:
            raise ConfigurationError("OptunaSearch needs Optuna: install sparkwater[search]")
        if space.maps:
            raise ConfigurationError("OptunaSearch takes a mapping of Params to lists and distributions as its space")
        if not (self.getMaxModels() or self.getMaxRuntimeSecs() or self.getStoppingRounds()):
            raise ConfigurationError(
                "maxModels=0: the search would never end; set maxModels, maxRuntimeSecs or stoppingRounds"
            )

    def _pruner(self) -> Pruner | None:
        last = last_stage(self._given())
        return Pruner(self.getStartupTrials()) if self.getPruning() and last.hasParam("callbacks") else None

    def _propose(self, space: Space, candidate: Callable[[ParamMap], Candidate]) -> Propose:
        return _Asking(_study(self.getSeed(), self.getStartupTrials()), space, candidate)


def _study(seed: int, startup: int) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
    return optuna.create_study(sampler=sampler)


class _Asking:
    """Source of candidates: a study that is told the trials in their order."""

    def __init__(self, study: Study, space: Space, candidate: Callable[[ParamMap], Candidate]) -> None:
        self._study, self._space, self._candidate = study, space, candidate
        self._asked: dict[str, Any] = {}
        self._told = 0

    def __call__(self, trials: Sequence[Trial], number: int) -> list[Candidate]:
        for one in trials[self._told :]:
            self._tell(one)
        self._told = len(trials)
        found: list[Candidate] = []
        in_vain = 0
        while len(found) < number and in_vain < _IN_VAIN:
            asked = self._study.ask()
            made = self._candidate(self._space.draw([self._share(asked, one.name) for one in self._space.dimensions]))
            if made.learner.name in self._asked:
                self._study.tell(asked, state=_state("FAIL"))
                in_vain += 1
            else:
                self._asked[made.learner.name] = asked
                found.append(made)
        return found

    def _share(self, asked: Any, name: str) -> float:
        """Return the share of a distribution, or the place in a list as a share of it."""
        (one,) = (dimension for dimension in self._space.dimensions if dimension.name == name)
        if one.choice.distribution is not None:
            return float(asked.suggest_float(name, 0.0, 1.0))
        count = len(one.choice.values)
        return (int(asked.suggest_categorical(name, list(range(count)))) + 0.5) / count

    def _tell(self, trial: Trial) -> None:
        asked = self._asked[trial.learner]
        if trial.value is not None:
            self._study.tell(asked, trial.value)
            return
        for epoch, value in enumerate(trial.curve):
            asked.report(value, epoch)
        self._study.tell(asked, state=_state("PRUNED" if trial.curve else "FAIL"))


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
