"""DeepFeatures.transform against plain PyTorch's forward hooks on all cores.

The input of LeNet's head, 500 values a row, for 60,000 digits (the shipped ones, five times).
sparkwater reads a tensor column from Parquet on ``local[cores]`` and ends in Spark's ``noop`` sink, with
vectors and with tensors; plain PyTorch has all rows in memory, in one process with all cores. In turns,
in one run, after a warm-up; medians.

    python benchmarks/bench_deep_features.py [--rows 60000] [--rounds 5] [--data build/mnist_png]
"""

from __future__ import annotations

import tempfile

import torch
from bench_transform import (
    SPEC,
    all_rows,
    in_turns,
    parse_arguments,
    report,
    run,
    untrained_lenet,
    write_digits,
)
from sessions import start_spark

from sparkwater.conversions import with_tensor_spec
from sparkwater.gpu.networks.inference import BATCH_ROWS, load_network
from sparkwater.ml import ImageClassifierModel


def main() -> None:
    arguments = parse_arguments(__doc__)
    spark = start_spark()
    model = untrained_lenet(spark)
    with tempfile.TemporaryDirectory() as folder:
        write_digits(spark, arguments.data, arguments.rows, folder)
        frame = with_tensor_spec(spark.read.parquet(folder), "features", SPEC).drop("pixels")
        resident = all_rows(folder)
        for output in ("vector", "tensor"):
            stage = model.deepFeatures(outputType=output)
            seconds = in_turns(
                {
                    f"as {output}s": lambda stage=stage: run(stage.transform(frame)),
                    "plain PyTorch": lambda: plain(model, resident),
                },
                arguments.rounds,
            )
            report(f"penultimate layer of lenet for {arguments.rows:,} digits", seconds)
    spark.stop()


def plain(model: ImageClassifierModel, rows: torch.Tensor) -> None:
    trained = model.fitted.trained
    network = load_network(trained)
    found: list[torch.Tensor] = []
    hook = network.fc2.register_forward_pre_hook(lambda _, args: found.append(args[0]))
    with torch.inference_mode():
        for block in torch.split(rows, BATCH_ROWS):
            network(trained.scaling.apply(block))
    hook.remove()
    assert sum(map(len, found)) == len(rows)


if __name__ == "__main__":
    main()
