"""The flavour ``sparkwater`` of MLflow: a Spark stage beside its bundle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import artifacts, pyfunc
from mlflow.models import Model
from mlflow.models import utils as model_utils
from mlflow.utils import environment
from mlflow.utils import model_utils as path_utils
from mlflow.utils.yaml_utils import write_yaml

from sparkwater import __version__
from sparkwater.bundle.export.exporting import export_bundle
from sparkwater.bundle.export.registry import check_stage
from sparkwater.bundle.format import VECTORS
from sparkwater.bundle.scorer.bundle import Bundle
from sparkwater.bundle.scorer.vectors import read_vectors
from sparkwater.errors import CheckpointError
from sparkwater.mlflow.signature import input_example, model_signature
from sparkwater.mlflow.stages import read_stage, whole_columns, write_stage, write_through
from sparkwater.mlflow.stores import check_stores, known_stores

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

#: Name of the flavour, and the module that MLflow loads Python functions by.
FLAVOR, LOADER = "sparkwater", "sparkwater.mlflow"

#: Folders within a model's.
BUNDLE, STAGE = "bundle", "stage"

#: Packages that score a bundle; MLflow adds itself.
_REQUIRED = ("numpy", "onnxruntime", "pandas", "pillow")


def save_model(
    model: Transformer,
    path: str,
    sample: DataFrame,
    *,
    licence: str | None = None,
    mlflow_model: Model | None = None,
    conda_env: dict[str, Any] | str | None = None,
    code_paths: list[str] | None = None,
    pip_requirements: list[str] | str | None = None,
    extra_pip_requirements: list[str] | str | None = None,
    metadata: dict[str, Any] | None = None,
    dfs_tmpdir: str | None = None,
) -> None:
    """Save a fitted model as an MLflow model: its bundle, which is scored without Spark, and the Spark stage.

    Signature and input example follow from the bundle. Nothing in it is a pickle. Driver side.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        A model of this package, a stacked ensemble, or a ``PipelineModel`` of stages that can go along in a bundle.
    path : str
        A folder on the driver's machine, which doesn't exist or is empty.
    sample : pyspark.sql.DataFrame
        Rows of real input. Up to 100 of them are readable in the bundle, and one is the input example.
    licence : str, optional
        Licence of the model, such as ``Apache-2.0``.
    mlflow_model : mlflow.models.Model, optional
        The description that the flavours are added to.
    conda_env, code_paths, pip_requirements, extra_pip_requirements, metadata
        As in MLflow's own flavours. Without them the requirements are those of the scorer.
    dfs_tmpdir : str, optional
        Folder on Spark's default filesystem for a moment's copy; see `sparkwater.mlflow.stages.write_through`.

    Raises
    ------
    ConfigurationError, SchemaError, DataError, OSError
        See `sparkwater.bundle.export_bundle`: a stage that can't go along is named. And if executors and driver share
        no such folder, or a file of requirements can't be read.
    MlflowException
        If something is in the folder.
    """
    check_stage(model)
    requirements = _requirements(conda_env, pip_requirements, extra_pip_requirements)
    folder = Path(path).absolute()
    path_utils._validate_and_prepare_target_save_path(str(folder))
    try:
        code = path_utils._validate_and_copy_code_paths(code_paths, str(folder))
        bundled = partial(export_bundle, model, sample=sample, licence=licence)
        write_through(bundled, folder / BUNDLE, sample.sparkSession, dfs_tmpdir)
        write_stage(model, folder / STAGE, sample.sparkSession, dfs_tmpdir)
        described = Model() if mlflow_model is None else mlflow_model
        if metadata is not None:
            described.metadata = metadata
        _describe(described, folder, whole_columns(sample), type(model), code)
        _write_environment(folder, *requirements)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def log_model(
    model: Transformer,
    name: str,
    sample: DataFrame,
    *,
    registered_model_name: str | None = None,
    await_registration_for: int = 300,
    **options: Any,
) -> ModelInfo:
    """Log a fitted model to MLflow, and register it where a name is given; driver side.

    It belongs to the active run, if there is one.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        See `save_model`.
    name : str
        Name of the logged model.
    sample : pyspark.sql.DataFrame
        See `save_model`.
    registered_model_name : str, optional
        Name in the registry, of which this becomes a new version.
    await_registration_for : int
        Seconds to wait for the version to be ready.
    **options
        Those of `save_model`, and of ``mlflow.models.Model.log``: ``params``, ``tags``, ``step``, ``model_type``.

    Returns
    -------
    mlflow.models.model.ModelInfo
        With ``model_uri``, ``signature`` and, where it was registered, ``registered_model_version``.

    Raises
    ------
    ConfigurationError
        If the URI of the tracking store or the registry is none that MLflow knows; and see `save_model`.
    MlflowException
        If a store can't be reached.
    """
    check_stage(model)
    check_stores(registered_model_name is not None)
    return Model.log(
        artifact_path=None,
        flavor=import_module(LOADER),
        name=name,
        registered_model_name=registered_model_name,
        await_registration_for=await_registration_for,
        model=model,
        sample=sample,
        **options,
    )


def load_model(
    model_uri: str, dst_path: str | None = None, dfs_tmpdir: str | None = None, allowing: Sequence[str] = ()
) -> Any:
    """Return the Spark stage of a logged or saved model; driver side.

    Parameters
    ----------
    model_uri : str
        The model, such as ``models:/name@alias``, ``models:/name/3``, ``runs:/RUN/name`` or a folder.
    dst_path : str, optional
        An existing folder on the driver's machine to download to; a temporary one without it.
    dfs_tmpdir : str, optional
        Folder on Spark's default filesystem, where the executors read the stage while it loads;
        ``MLFLOW_DFS_TMP`` without it. Not used where the default filesystem is the local one.
    allowing : sequence of str
        Networks and packages of the user's own whose code may run, as for ``read().allowing``.

    Raises
    ------
    CheckpointError
        If the model has no such stage, or it is damaged.
    UnsafeLoadError
        If it names a class or a network without consent.
    ConfigurationError
        If the URI of the store or the registry is none that MLflow knows.
    MlflowException
        If there is no such model, or the store can't be reached.
    """
    with known_stores():
        folder = Path(artifacts.download_artifacts(artifact_uri=model_uri, dst_path=dst_path))
    flavors = Model.load(str(folder)).flavors
    if FLAVOR not in flavors:
        raise CheckpointError(
            f"{model_uri!r} has the flavours {', '.join(sorted(flavors))}, and no {FLAVOR!r}: "
            "sparkwater.mlflow.log_model didn't write it"
        )
    return read_stage(folder / STAGE, dfs_tmpdir, allowing)


def _describe(described: Model, folder: Path, whole: frozenset[str], model: type, code: str | None) -> None:
    """Write signature, input example, flavours and the file ``MLmodel``."""
    signature = Bundle.load(folder / BUNDLE).signature
    vectors = read_vectors((folder / BUNDLE / VECTORS).read_bytes())
    described.signature = model_signature(signature, whole)
    model_utils._save_example(described, input_example(signature, vectors, whole), str(folder))
    described.add_flavor(
        FLAVOR,
        sparkwater_version=__version__,
        pyspark_version=version("pyspark"),
        model_class=f"{model.__module__}.{model.__qualname__}",
        model_data=STAGE,
        code=code,
    )
    pyfunc.add_to_model(
        described,
        loader_module=LOADER,
        data=BUNDLE,
        code=code,
        conda_env=environment._CONDA_ENV_FILE_NAME,
        python_env=environment._PYTHON_ENV_FILE_NAME,
        model_config={"threads": None},  # callers may set what is named here, and nothing else
    )
    described.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    described.save(str(folder / "MLmodel"))


def _requirements(
    conda_env: dict[str, Any] | str | None, pip_requirements: list[str] | str | None, extra: list[str] | str | None
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return conda's environment, requirements and constraints.

    Requirements are named here: to find them MLflow would load the model once more.
    """
    environment._validate_env_arguments(conda_env, pip_requirements, extra)
    processed: tuple[dict[str, Any], list[str], list[str]]
    if conda_env is None:
        own = [f"sparkwater[scorer]=={__version__}", *(f"{name}=={version(name)}" for name in _REQUIRED)]
        processed = environment._process_pip_requirements(
            own if pip_requirements is None else None, pip_requirements, extra
        )
    else:
        processed = environment._process_conda_env(conda_env)
    return processed


def _write_environment(folder: Path, conda: dict[str, Any], requirements: list[str], constraints: list[str]) -> None:
    """Write the files of requirements."""
    write_yaml(str(folder), environment._CONDA_ENV_FILE_NAME, conda)
    (folder / environment._REQUIREMENTS_FILE_NAME).write_text("\n".join(requirements))
    if constraints:
        (folder / environment._CONSTRAINTS_FILE_NAME).write_text("\n".join(constraints))
    environment._PythonEnv.current().to_yaml(str(folder / environment._PYTHON_ENV_FILE_NAME))
