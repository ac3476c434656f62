"""DataFrame columns <-> Arrow-backed tensors.

Modules without pyspark: `spec`, `casting`, `arrow`, `values`, `images`, `uris`. The others work on DataFrames.
"""

from __future__ import annotations

from sparkwater._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "spec": ("TensorSpec",),
        "columns": ("from_tensor_column", "tensor_spec", "to_tensor_column", "with_tensor_spec"),
        "folders": ("read_image_folder", "read_images"),
        "image_columns": ("check_schemes",),
        "image_stages": ("ImageToTensor", "TensorToImage"),
        "invalid": ("ProblemReport", "report_problems"),
        "transformers": ("ArrayToTensor", "TensorToArray", "TensorToVector", "VectorToTensor"),
    },
)
