"""Imports go one way, and importing the package is light."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import pkgutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from conftest import ROOT
from sources import imports, module_name, parsed, python_files

import sparkwater
from sparkwater import errors

#: Folders and single modules of the package, from the ground up, and what each may import of the others. A module
#: belongs to the longest of these names that it begins with. Each line names lines above it only, so imports go one
#: way; those for type checkers alone count too. All may import errors.
LAYERS = """
sparkwater                     # the version
_lazy
errors
program

conversions.tensors
conversions.files.s3
conversions.files.filesystems  conversions.files.s3
conversions.sessions           conversions.files.filesystems conversions.files.s3
conversions.files              conversions.sessions
conversions.stages             sparkwater conversions.tensors conversions.files conversions.sessions
conversions.images             conversions.tensors conversions.files conversions.stages
conversions.petastorm          conversions.tensors conversions.files conversions.stages
conversions.tables.encoding    conversions.tensors
conversions.tables.statistics  conversions.tensors conversions.tables.encoding
conversions.tables             conversions.tensors conversions.stages conversions.sessions conversions.tables.*
conversions                    _lazy conversions.*

plots.drawing
plots.frames                   conversions conversions.stages conversions.images plots.drawing
plots                          _lazy plots.*

gpu.seeding
gpu.curves
gpu.device
gpu.build_horovod
gpu.collective
gpu.tasks                      conversions.tensors
gpu.rows                       conversions.tensors conversions.petastorm gpu.seeding gpu.tasks
                               gpu.collective  # ranks measure the scaling together
gpu.networks.registry
gpu.networks.initialization
gpu.networks.treatment
gpu.networks.elsewhere         conversions.files gpu.networks.registry
gpu.networks.zoo               gpu.networks.registry gpu.networks.initialization
gpu.networks.tables            gpu.curves gpu.networks.registry gpu.networks.treatment
gpu.networks                   conversions.tensors gpu.tasks gpu.networks.*
                               gpu.rows        # scaling: how a row's values become a network's input
gpu.inspection                 conversions.tensors gpu.networks
gpu.config                     gpu.rows
gpu.records                    gpu.tasks
gpu.callbacks                  gpu.collective gpu.records
gpu.training                   conversions.files conversions.tensors gpu.seeding gpu.curves gpu.collective gpu.tasks
                               gpu.rows gpu.networks gpu.config gpu.records gpu.callbacks
gpu.job                        conversions.tensors gpu.tasks gpu.rows gpu.networks gpu.config gpu.callbacks
gpu.outcome                    conversions.tensors gpu.rows gpu.records gpu.training
gpu.rank                       sparkwater gpu.*
gpu                            gpu.*

ml.columns                     conversions.images conversions.stages conversions.tables conversions.tensors gpu.tasks
                               gpu.rows
ml.similarity                  conversions.stages conversions.tensors
ml.explanations                conversions.stages conversions.sessions conversions.tensors
ml.reports                     conversions.sessions gpu.tasks gpu.rows gpu.training gpu.records gpu.job gpu.outcome
                               plots
ml.launch                      conversions.files.filesystems conversions.sessions gpu.collective gpu.tasks gpu.rows
                               gpu.records gpu.job gpu.outcome gpu.rank
ml.fitted                      conversions.files conversions.stages conversions.tables conversions.tensors gpu.tasks
                               gpu.rows
                               gpu.networks ml.columns ml.reports
ml.params                      conversions.stages conversions.tables conversions.tensors gpu.curves gpu.device
                               gpu.collective gpu.tasks gpu.rows gpu.networks gpu.config gpu.callbacks gpu.training
                               ml.columns
                               ml.launch      # what runs on one machine only
                               ml.reports     # trackers are told of a training
                               ml.fitted      # warmStart is a model
ml.scoring                     conversions.sessions conversions.stages conversions.tensors gpu.tasks gpu.networks
                               ml.columns ml.fitted ml.params
                               ml.launch      # the limits of Spark's Python workers
ml.tables                      conversions.* conversions gpu.tasks gpu.rows gpu.networks ml.columns ml.params
ml.sklearn                     conversions.sessions conversions.stages conversions.tables conversions.tensors
                               ml.columns ml.params ml.launch ml.scoring
ml                             _lazy conversions.* gpu.* ml.*

stacking.row_keys              conversions.stages
stacking.folds                 conversions.stages stacking.row_keys
stacking.level_one             conversions.files conversions.sessions conversions.stages gpu.tasks
                               gpu.networks ml.columns ml.fitted ml.launch  # what a learner that is a network needs
                               ml.sklearn     # fits that hold their rows in one task
                               stacking.row_keys stacking.folds
stacking.meta_learner          conversions.stages stacking.level_one
stacking.combiners             conversions.sessions conversions.stages stacking.level_one stacking.meta_learner
stacking.calibration           stacking.combiners
stacking.diagnostics           stacking.combiners
stacking.scores                conversions.sessions ml.reports stacking.level_one
stacking.report                plots.drawing  # colours, names and intervals, which need no matplotlib
                               ml.reports stacking.diagnostics stacking.scores
stacking.plotting              plots ml.reports stacking.diagnostics stacking.scores
stacking.cross_fitting         conversions.sessions stacking.row_keys stacking.folds stacking.level_one
stacking.ensemble_params       conversions.stages
stacking.fold_params           conversions.stages stacking.folds
stacking.summary               conversions.sessions stacking.* plots
stacking.ensemble_model        conversions.stages stacking.*
stacking.refit                 stacking.*
stacking.examine               stacking.*
stacking.stack                 conversions.sessions stacking.*
stacking.combined              stacking.*
stacking.second_level          conversions.sessions stacking.*
stacking.search                conversions.sessions conversions.stages ml.reports stacking.* plots
                               ml.launch       # the bar of progress
                               gpu.training    # the rule of early stopping
stacking.automl                conversions conversions.sessions conversions.stages conversions.images ml ml.reports
                               plots stacking.*
stacking                       _lazy conversions.files conversions.stages gpu.tasks stacking.*

bundle.format
bundle.graph                   bundle.format
bundle.scorer                  conversions.images bundle.format
bundle.export                  sparkwater conversions.* gpu.* ml.* stacking.* stacking bundle.*
bundle                         _lazy bundle.*

mlflow.scoring                 bundle.scorer
mlflow.stores
mlflow.signature               bundle.format bundle.scorer
mlflow.stages                  conversions.files conversions.sessions conversions.stages
mlflow.udf                     mlflow.stores
mlflow.facts                   ml.reports stacking.automl stacking.search stacking.summary
mlflow.flavor                  sparkwater conversions.stages bundle.format bundle.scorer bundle.export mlflow.*
mlflow.autologging             ml stacking stacking.automl stacking.search mlflow.*
mlflow                         _lazy mlflow.*

flow.workbook
flow.work                      conversions.images conversions.sessions gpu.records ml.launch flow.workbook
flow.views                     conversions.* conversions gpu.* gpu ml.* ml stacking.* stacking plots.* bundle.format
                               flow.workbook flow.work
flow.guard
flow.pages                     flow.workbook flow.work flow.views
flow.server                    flow.workbook flow.work flow.guard flow.pages
flow                           _lazy flow.*
"""

MODULES = [module.name for module in pkgutil.walk_packages(sparkwater.__path__, "sparkwater.")]

#: Modules of ranks and of what ranks use.
WITHOUT_PYSPARK = [
    name
    for name in MODULES
    if name.startswith(
        (
            "sparkwater.gpu",
            "sparkwater.conversions.tensors",
            "sparkwater.conversions.petastorm.",
            "sparkwater.conversions.tables.encoding",
            "sparkwater.conversions.tables.statistics",
        )
    )
    and name != "sparkwater.conversions.petastorm.frames"
] + [f"sparkwater.conversions.images.{part}" for part in ("decoding", "uris", "idx")]
#: Names of classes that are exceptions: Python's and the package's.
EXCEPTIONS = {
    name
    for module in (builtins, errors)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
#: Folders, and a package that none of their modules names: not in functions, and not for type checkers.
WITHOUT = {
    "conversions.tensors": "pyspark",
    "conversions.tables.encoding": "pyspark",
    "conversions.tables.statistics": "pyspark",
    "gpu": "pyspark",
    "conversions": "horovod",
    "ml": "horovod",
    "stacking": "horovod",
    "bundle": "horovod",
    "bundle.graph": "pyspark",
    "bundle.scorer": "pyspark",
    "mlflow": "horovod",
    "plots.drawing": "pyspark",
    "flow": "horovod",
    "flow.workbook": "pyspark",
}
#: Attributes that sessions without a JVM in the driver's process lack.
JVM = {"sparkContext", "_sc", "_jsc", "_jvm", "_jdf", "_jsparkSession", "_gateway", "rdd"}
#: Names in imports that need such a JVM.
JVM_NAMES = {"py4j", "SparkContext", "inheritable_thread_target"}
HEAVY = ("torch", "horovod", "pyspark", "PIL", "pyarrow", "pandas", "onnx", "onnxruntime", "mlflow", "matplotlib")


def read_layers(table: str) -> dict[str, set[str]]:
    """Return the lines of the table: each name, and the names above it that it may import."""
    layers: dict[str, set[str]] = {}
    for line in table.splitlines():
        names = line.split("#")[0].split()
        if names and not line.startswith(" "):
            current, *names = names
            layers[current] = set()
        for name in names:
            above = {other for other in layers if other.startswith(name[:-1])} if name.endswith(".*") else {name}
            assert above <= layers.keys(), f"{current} may import {name}, which isn't above it"
            layers[current] |= above - {current}
    return layers


def layer_of(module: str, layers: dict[str, set[str]]) -> str:
    """Return the longest name in the table that a module of the package begins with."""
    names = module.split(".")[1:]
    starts = [".".join(names[:length]) for length in range(len(names), 0, -1)] or ["sparkwater"]
    return next((start for start in starts if start in layers), f"{module}, which is in no line of the table")


def own_imports() -> list[tuple[str, str, str]]:
    """Return each import of the package's modules from one another: file and line, importer and imported."""
    found = []
    for path in python_files("sparkwater"):
        for module, name, line in imports(path):
            if module.split(".")[0] == "sparkwater":
                target = f"{module}.{name}" if f"{module}.{name}" in MODULES else module
                found.append((f"{path.relative_to(ROOT)}:{line}", module_name(path), target))
    return found


def test_folders_import_only_those_below_them():
    layers, wrong = read_layers(LAYERS), []
    for where, importer, imported in own_imports():
        upper, lower = layer_of(importer, layers), layer_of(imported, layers)
        allowed = {upper, "errors"} | layers.get(upper, set())
        if not any(lower == name or lower.startswith(f"{name}.") for name in allowed):
            wrong.append(f"{where}: {upper} may not import {lower} ({imported})")
    assert not wrong, "\n".join(wrong)


def test_each_line_of_the_table_is_a_module_or_folder():
    names = {name.removeprefix("sparkwater.") for name in MODULES} | {"sparkwater"}
    assert not read_layers(LAYERS).keys() - names


def test_no_modules_import_each_other_even_roundabout():
    graph: dict[str, set[str]] = {}
    for _, importer, imported in own_imports():
        graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_one_folder_alone_touches_the_jvm_and_spark_contexts():
    wrong = []
    for path in python_files("sparkwater"):
        if not module_name(path).startswith("sparkwater.conversions.sessions."):
            nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)]
            wrong += [f"{path.relative_to(ROOT)}:{node.lineno}: .{node.attr}" for node in nodes if node.attr in JVM]
            found = [(f"{module}.{name}", line) for module, name, line in imports(path)]
            wrong += [
                f"{path.relative_to(ROOT)}:{line}: {name}" for name, line in found if set(name.split(".")) & JVM_NAMES
            ]
    assert not wrong, "ask conversions/sessions/session.py instead:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("folder", "package"),
    [*WITHOUT.items(), *((f"flow.{part}", "nicegui") for part in ("workbook", "work", "views"))],
)
def test_a_folder_never_names_a_package(folder, package):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files(f"sparkwater/{folder.replace('.', '/')}")
        for module, _, line in imports(path)
        if module.split(".")[0] == package
    ]
    assert not wrong, f"{package} in " + ", ".join(wrong)


def test_no_module_imports_a_private_name():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name} of {module}"
        for path in python_files("sparkwater", "tests", "jobs", "benchmarks", "scripts")
        for module, name, line in imports(path)
        if name.startswith("_") and not name.startswith("__")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_test_module_imports_another():
    tests = {path.stem for path in python_files("tests") if path.stem.startswith("test_")}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in python_files("tests")
        for module, name, line in imports(path)
        if tests & {*module.split("."), name}
    ]
    assert not wrong, "\n".join(wrong)


def import_without(*steps: tuple[list[str], list[str]]) -> subprocess.CompletedProcess[str]:
    """Import modules in a process of its own, step by step, each without some packages and modules of the package."""
    program = (
        "import importlib, sys\n"
        "blocked = []\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in blocked or name in blocked:\n"
        "            raise ImportError(f'{name} is blocked here')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for modules, blocked in {list(steps)!r}:\n"
        "    for name in modules: importlib.import_module(name)\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "package",
    [f"sparkwater{name}" for name in ("", ".conversions", ".ml", ".stacking", ".bundle", ".mlflow", ".plots", ".flow")],
)
def test_importing_a_package_loads_nothing_heavy(package):
    done = import_without(([package], list(HEAVY)))
    assert done.returncode == 0, done.stderr


def test_training_side_never_imports_pyspark():
    done = import_without((WITHOUT_PYSPARK, ["pyspark", "py4j", "sparkwater.ml", "sparkwater.stacking"]))
    assert done.returncode == 0, done.stderr


def test_no_folder_imports_what_is_built_on_it_and_nothing_but_a_training_rank_horovod():
    """Each step has the modules of the one before, which had more to do without."""
    conversions = [name for name in MODULES if name.startswith("sparkwater.conversions")]
    of_ml = [name for name in MODULES if name == "sparkwater.ml" or name.startswith("sparkwater.ml.")]
    done = import_without(
        (conversions, ["sparkwater.gpu", "sparkwater.ml", "sparkwater.stacking", "horovod"]),
        (of_ml, ["sparkwater.stacking", "horovod"]),
        (MODULES, ["horovod"]),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["conversions", "ml", "stacking", "bundle", "mlflow", "plots", "flow"])
def test_type_checkers_see_the_names_that_are_exported(package):
    module = importlib.import_module(f"sparkwater.{package}")
    block = next(node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {
        alias.asname: getattr(importlib.import_module(line.module), alias.name)
        for line in block.body
        for alias in line.names
    }
    assert seen == {name: getattr(module, name) for name in module.__all__}


def test_public_names_can_all_be_imported():
    for package in ("conversions", "ml", "stacking", "bundle", "mlflow", "plots", "flow"):
        module = __import__(f"sparkwater.{package}", fromlist=["*"])
        for name in module.__all__:
            assert getattr(module, name).__doc__
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = module.no_such_name


def test_every_exception_is_in_errors():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "sparkwater").rglob("*.py")
        for name in exceptions_of(path.read_text())
        if path.name != "errors.py"
    ]
    assert found == []
    assert {"SparkwaterError", "ForwardPassEnded", "StallError"} <= set(
        exceptions_of((ROOT / "sparkwater" / "errors.py").read_text())
    )


def exceptions_of(source: str) -> list[str]:
    """Return the names of classes whose base is called, or is here, an exception."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            if any(base in found or base in EXCEPTIONS for base in bases):
                found.append(node.name)
    return found


def test_a_missing_package_is_named_with_what_installs_it():
    program = "from sparkwater.{}"
    for line, blocked, extra in (
        ("ml import ImageClassifier", "pyspark", "spark"),
        ("conversions import ImageToTensor", "pyarrow", "spark"),
        ("ml import ImageClassifier", "torch", "spark"),
        ("bundle import export_bundle", "onnx", "export"),
        ("mlflow import log_model", "mlflow", "mlflow"),
        ("plots import learning_curves", "matplotlib", "plots"),
        ("flow import serve", "nicegui", "flow"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", _BLOCKER.format(blocked) + program.format(line)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"needs {blocked}, which isn't installed: pip install 'sparkwater[{extra}]'" in done.stderr


#: Beginning of a program in an environment without a package.
_BLOCKER = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
