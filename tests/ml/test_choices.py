from __future__ import annotations

from dataclasses import replace

from gpu.ranks import SPEC, rank_job

from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rows.scaling import PackedScaling, Scaling
from sparkwater.ml.reports.choices import resolve

OUTCOMES = [
    Outcome(rank, f"host-{rank}", device=device, scaling=Scaling((60.0,), (30.0,)), resolved={"precision": "float32"})
    for rank, device in enumerate(("cuda:0", "cuda:1"))
]


def test_ranks_that_chose_alike_are_one_value_and_others_a_list():
    choices = resolve(rank_job(6), OUTCOMES)
    assert (choices["network"], choices["collective"]) == ("lenet", "horovod")
    assert (choices["precision"], choices["device"]) == ("float32", ["cuda:0", "cuda:1"])


def test_class_weights_are_named_by_their_labels():
    assert resolve(rank_job(6), OUTCOMES)["classWeight"] == "none"
    job = rank_job(6, class_weights=(1.0, 2.0, 0.5))
    assert resolve(job, OUTCOMES)["classWeight"] == {"0": 1.0, "1": 2.0, "2": 0.5}


def test_each_scaling_has_its_source():
    def sources(job, scaling):
        return [one["by"] for one in resolve(job, [replace(OUTCOMES[0], scaling=scaling)])["scaling"]]

    measured, ids = Scaling((60.0,), (30.0,)), Scaling((), ())
    spec = PackedSpec([SPEC, SPEC, TensorSpec("int64", (5,))])
    assert sources(rank_job(6), measured) == ["training rows"]
    given = replace(rank_job(6), scalings=(measured, None, None))
    assert sources(given, PackedScaling(spec, (measured, measured, ids))) == [
        "inputMean and inputStd, or the model of warmStart",
        "training rows",
        "nothing: they are ids",
    ]
