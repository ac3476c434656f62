"""Conversions between DataFrame columns and tensors: Transformers, whole DataFrames, tables, pictures, petastorm.

`tensors` is free of pyspark. The stages and `frames` work on DataFrames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.conversions.assembler import TensorAssembler as TensorAssembler
    from sparkwater.conversions.categories import (
        CategoryToTensor as CategoryToTensor,
        find_categories as find_categories,
    )
    from sparkwater.conversions.frames import (
        from_numpy as from_numpy,
        from_torch as from_torch,
        iter_torch_batches as iter_torch_batches,
        to_tensors as to_tensors,
        to_torch as to_torch,
    )
    from sparkwater.conversions.image_stages import ImageToTensor as ImageToTensor, TensorToImage as TensorToImage
    from sparkwater.conversions.images.columns import check_schemes as check_schemes
    from sparkwater.conversions.images.folders import (
        read_image_folder as read_image_folder,
        read_images as read_images,
        stream_images as stream_images,
    )
    from sparkwater.conversions.petastorm.frames import (
        read_petastorm as read_petastorm,
        tensor_transform as tensor_transform,
        write_petastorm as write_petastorm,
    )
    from sparkwater.conversions.petastorm.rows import (
        PetastormRows as PetastormRows,
        describe_petastorm as describe_petastorm,
    )
    from sparkwater.conversions.saved_pipelines import save_over as save_over
    from sparkwater.conversions.stages.columns import (
        from_tensor_column as from_tensor_column,
        tensor_spec as tensor_spec,
        to_tensor_column as to_tensor_column,
        with_tensor_spec as with_tensor_spec,
    )
    from sparkwater.conversions.stages.invalid import ProblemReport as ProblemReport, report_problems as report_problems
    from sparkwater.conversions.tables.stages import (
        TableToTensor as TableToTensor,
        TableToTensorModel as TableToTensorModel,
    )
    from sparkwater.conversions.tensors.record_batches import torch_batches as torch_batches
    from sparkwater.conversions.tensors.spec import TensorSpec as TensorSpec
    from sparkwater.conversions.transformers import (
        ArrayToTensor as ArrayToTensor,
        TensorToArray as TensorToArray,
        TensorToVector as TensorToVector,
        VectorToTensor as VectorToTensor,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "tensors.spec": ("TensorSpec",),
            "assembler": ("TensorAssembler",),
            "categories": ("CategoryToTensor", "find_categories"),
            "stages.columns": ("from_tensor_column", "tensor_spec", "to_tensor_column", "with_tensor_spec"),
            "images.folders": ("read_image_folder", "read_images", "stream_images"),
            "frames": ("from_numpy", "from_torch", "iter_torch_batches", "to_tensors", "to_torch"),
            "images.columns": ("check_schemes",),
            "image_stages": ("ImageToTensor", "TensorToImage"),
            "stages.invalid": ("ProblemReport", "report_problems"),
            "petastorm.frames": ("read_petastorm", "tensor_transform", "write_petastorm"),
            "saved_pipelines": ("save_over",),
            "petastorm.rows": ("PetastormRows", "describe_petastorm"),
            "tables.stages": ("TableToTensor", "TableToTensorModel"),
            "tensors.record_batches": ("torch_batches",),
            "transformers": ("ArrayToTensor", "TensorToArray", "TensorToVector", "VectorToTensor"),
        },
    )
