"""Conversions between DataFrame columns and tensors: Transformers, whole DataFrames, pictures, petastorm.

`tensors` is free of pyspark. The stages and `frames` work on DataFrames.
"""

from __future__ import annotations

from sparkwater._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "tensors.spec": ("TensorSpec",),
        "assembler": ("TensorAssembler",),
        "categories": ("CategoryToTensor", "find_categories"),
        "stages.columns": ("from_tensor_column", "tensor_spec", "to_tensor_column", "with_tensor_spec"),
        "images.folders": ("read_image_folder", "read_images"),
        "frames": ("from_numpy", "from_torch", "iter_torch_batches", "to_tensors", "to_torch"),
        "images.columns": ("check_schemes",),
        "image_stages": ("ImageToTensor", "TensorToImage"),
        "stages.invalid": ("ProblemReport", "report_problems"),
        "petastorm.frames": ("read_petastorm", "tensor_transform", "write_petastorm"),
        "petastorm.rows": ("PetastormRows", "describe_petastorm"),
        "tensors.record_batches": ("torch_batches",),
        "transformers": ("ArrayToTensor", "TensorToArray", "TensorToVector", "VectorToTensor"),
    },
)
