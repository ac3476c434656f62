"""One line declares a Param: everything else follows from it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
from pyspark.ml.param.shared import HasSeed as SparkHasSeed
from pyspark.ml.param.shared import HasWeightCol as SparkHasWeightCol

from sparkwater.conversions import VectorToTensor
from sparkwater.conversions.stages.accepts import above, at_least, between, one_of
from sparkwater.conversions.stages.settings import Argument, Setting, Settings, argument, fields_of, setting
from sparkwater.conversions.stages.spark_params import HasSeed, HasWeightCol
from sparkwater.errors import ConfigurationError


class Recipe(Settings):
    """A recipe.

    Notes
    -----
    Made up.
    """

    rate: Setting[float] = setting(0.05, "size of a step. Never scaled", accepts=above(0), field="rate_of_steps")
    kind: Setting[str] = setting("sgd", "optimizer", accepts=one_of("sgd", "adam"), field="kind")


class Learner(HasWeightCol, HasSeed, Recipe):
    """A learner."""

    data: Argument[str | None] = argument("what to read")
    rounds: Setting[int] = setting(3, "rounds of it", accepts=at_least(1))
    limit: Setting[float | None] = setting(None, "largest norm", accepts=between(0, 1))
    sizes: Setting[list[int]] = setting([], "sizes")

    def setData(self, data: str) -> Learner:
        self.given = data
        return self


class WithDecay(Learner):
    """A learner with one more line."""

    decay: Setting[float] = setting(0.5, "what each fall multiplies by", accepts=above(0, up_to=1), field="decay")


class WithBeta(Learner):
    """A learner with a line for some kinds."""

    beta: Setting[float] = setting(0.9, "of adam", only_with={"kind": ("adam", "adamw")})


@dataclass(frozen=True)
class Config:
    rate_of_steps: float
    decay: float = 0.0
    others: int = 0


def test_one_line_in_a_subclass_is_a_whole_param() -> None:
    learner = WithDecay(decay=1, rate=0.1)
    assert learner.getDecay() == 1.0
    assert isinstance(learner.getDecay(), float)
    assert learner.setDecay(0.25) is learner
    assert WithDecay().getDecay() == 0.5
    assert "decay: what each fall multiplies by. Accepted: numbers above 0, up to 1 (default: 0.5, current: 0.25)" in (
        learner.explainParams()
    )
    parameter = inspect.signature(WithDecay).parameters["decay"]
    assert (parameter.kind, parameter.default, parameter.annotation) == (parameter.KEYWORD_ONLY, 0.5, "float")
    assert fields_of(learner, Config) == {"rate_of_steps": 0.1, "decay": 0.25}
    assert fields_of(Learner(), Config) == {"rate_of_steps": 0.05}
    with pytest.raises(ConfigurationError, match=r"^decay=2\.0; accepted: numbers above 0, up to 1$"):
        learner.setDecay(2).check_settings()


def test_the_docstring_has_an_entry_for_each() -> None:
    text = inspect.getdoc(WithDecay) or ""
    assert text.startswith("A learner with one more line.\n\nParameters\n----------\nweightCol : str, optional\n")
    assert (
        "decay : float\n    What each fall multiplies by. Accepted: numbers above 0, up to 1. Default 0.5.\n"
    ) in text + "\n"
    assert "kind : {'sgd', 'adam'}\n    Optimizer. Default 'sgd'.\n" in text
    assert "limit : float, optional\n    Largest norm. Accepted: numbers from 0 up to, not including, 1.\n" in text
    assert "rounds : int\n    Rounds of it. Accepted: integers from 1 up. Default 3.\n" in text
    assert [line.split(" : ")[0] for line in text.splitlines() if " : " in line] == list(
        inspect.signature(WithDecay).parameters
    )
    assert (inspect.getdoc(Recipe) or "").endswith("Default 'sgd'.\n\nNotes\n-----\nMade up.")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dcay": 1.0}, r"^WithDecay has no Param 'dcay'; did you mean decay\?$"),
        ({"zzz": 1.0}, r"has no Param 'zzz'; accepted: weightCol, seed, rate, kind"),
        ({"decay": "1"}, "^decay='1'; accepted: numbers above 0, up to 1$"),
        ({"rounds": 2.5}, "^rounds=2.5; accepted: integers from 1 up$"),
        ({"sizes": ["a"]}, r"^sizes=\['a'\]; accepted: sizes$"),
        ({"decay": None}, "^decay=None; accepted: numbers above 0, up to 1$"),
        ({"seed": None}, "^seed=None; accepted: seed of"),
    ],
)
def test_what_the_constructor_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        WithDecay(**given)


def test_none_clears_what_needs_no_value() -> None:
    learner = WithDecay(limit=0.5, weightCol="w")
    assert (learner.getLimit(), learner.getWeightCol()) == (0.5, "w")
    learner.setLimit(None).setWeightCol(None)
    assert (learner.getLimit(), learner.getWeightCol()) == (None, None)
    assert not learner.isDefined(learner.limit)
    learner.check_settings()
    with pytest.raises(ConfigurationError, match=r"limit=1\.0; accepted: numbers from 0 up to, not including, 1"):
        learner.setLimit(1.0).check_settings()


def test_copies_have_values_of_their_own() -> None:
    learner = Learner(rounds=4)
    copied = learner.copy({learner.rounds: 5})
    assert (learner.getRounds(), copied.getRounds(), copied.uid) == (4, 5, learner.uid)
    assert copied.clear(copied.rounds) is None
    assert (copied.getRounds(), learner.getRounds()) == (3, 4)


def test_sparks_own_mixins_are_recognised() -> None:
    assert isinstance(Learner(), SparkHasSeed)
    assert isinstance(Learner(), SparkHasWeightCol)
    assert Learner().getSeed() == 42


def test_arguments_that_are_no_params_go_to_their_setter() -> None:
    learner = Learner(data="rows", rounds=2)
    assert (learner.given, learner.getRounds()) == ("rows", 2)
    assert not learner.hasParam("data")
    assert "data" not in learner.explainParams()
    assert not hasattr(Learner(), "given")


def test_a_default_can_be_another_in_a_subclass() -> None:
    class Patient(Learner):
        rounds: Setting[int] = setting(9, "many rounds", accepts=at_least(5))

    assert Patient().getRounds() == 9
    assert list(inspect.signature(Patient).parameters) == list(inspect.signature(Learner).parameters)
    with pytest.raises(ConfigurationError, match="rounds=4; accepted: integers from 5 up"):
        Patient(rounds=4).check_settings()
    Learner(rounds=4).check_settings()


def test_getters_and_constructors_written_by_hand_stay() -> None:
    class Doubled(Learner):
        def __init__(self, *, twice: int) -> None:
            super().__init__(rounds=2 * twice)

        def getRate(self) -> float:
            return -1.0

    class More(Doubled):
        rate: Setting[float] = setting(2.0, "size")

    assert Doubled(twice=3).getRounds() == 6
    assert str(inspect.signature(Doubled)) == "(*, twice: 'int') -> 'None'"
    assert More(twice=1).getRate() == -1.0


def test_a_type_without_a_converter_is_an_error_of_the_class() -> None:
    with pytest.raises(TypeError, match=r"when: Setting\[dict\[str, int\]\] needs convert="):

        class Wrong(Settings):
            when: Setting[dict[str, int]] = setting({}, "times")

    with pytest.raises(TypeError, match="a setting is annotated as Setting"):

        class Unmarked(Settings):
            when: float = setting(1.0, "times")


def test_params_are_set_together_by_the_names_of_the_constructor():
    stage = VectorToTensor().setParams(inputCol="given", outputCol="made")
    assert (stage.getInputCol(), stage.getOutputCol()) == ("given", "made")
    with pytest.raises(TypeError, match=r"VectorToTensor has no Param 'outputcol'; did you mean outputCol\?"):
        stage.setParams(outputcol="made")


def test_a_param_without_an_effect_beside_others_is_named_where_it_is_set() -> None:
    learner = WithBeta(rate=0.1)
    assert learner.idle_settings() == []
    learner.setBeta(0.5)
    assert learner.idle_settings() == ["beta=0.5 has no effect with kind='sgd'; it is for kind='adam' or 'adamw'"]
    assert learner.setKind("adam").idle_settings() == []
