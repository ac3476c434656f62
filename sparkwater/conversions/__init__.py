"""DataFrame columns <-> Arrow-backed tensors.

Modules without pyspark: `spec`, `casting`, `arrow`, `values`, `buffer`, `record_batches`,
`images`, `uris` and those of petastorm datasets but `petastorm` itself. The others work on DataFrames.
"""

from __future__ import annotations

from sparkwater._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "spec": ("TensorSpec",),
        "assembler": ("TensorAssembler",),
        "categories": ("CategoryToTensor", "find_categories"),
        "columns": ("from_tensor_column", "tensor_spec", "to_tensor_column", "with_tensor_spec"),
        "folders": ("read_image_folder", "read_images"),
        "frames": ("from_numpy", "from_torch", "iter_torch_batches", "to_tensors", "to_torch"),
        "image_columns": ("check_schemes",),
        "image_stages": ("ImageToTensor", "TensorToImage"),
        "invalid": ("ProblemReport", "report_problems"),
        "petastorm": ("read_petastorm", "tensor_transform", "write_petastorm"),
        "petastorm_rows": ("PetastormRows", "describe_petastorm"),
        "record_batches": ("torch_batches",),
        "transformers": ("ArrayToTensor", "TensorToArray", "TensorToVector", "VectorToTensor"),
    },
)
