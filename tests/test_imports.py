"""Imports go one way, and importing the package is light."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest
from conftest import ROOT

import sparkwater
from sparkwater import errors

MODULES = [module.name for module in pkgutil.walk_packages(sparkwater.__path__, "sparkwater.")]

#: Modules of ranks and of what ranks use.
WITHOUT_PYSPARK = [
    name
    for name in MODULES
    if name.startswith(("sparkwater.gpu", "sparkwater.conversions.tensors", "sparkwater.conversions.petastorm."))
    and name != "sparkwater.conversions.petastorm.frames"
] + [f"sparkwater.conversions.images.{part}" for part in ("decoding", "uris", "idx")]
#: Names of classes that are exceptions: Python's and the package's.
EXCEPTIONS = {
    name
    for module in (builtins, errors)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
HEAVY = ("torch", "horovod", "pyspark", "PIL", "pyarrow", "pandas")


def import_without(modules: list[str], blocked: list[str]) -> subprocess.CompletedProcess[str]:
    program = (
        "import importlib, sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {blocked!r} or name in {blocked!r}:\n"
        "            raise ImportError(f'{name} is blocked here')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["sparkwater", "sparkwater.conversions", "sparkwater.ml", "sparkwater.stacking"])
def test_importing_a_package_loads_nothing_heavy(package):
    done = import_without([package], list(HEAVY))
    assert done.returncode == 0, done.stderr


def test_training_side_never_imports_pyspark():
    done = import_without(WITHOUT_PYSPARK, ["pyspark", "py4j", "sparkwater.ml", "sparkwater.stacking"])
    assert done.returncode == 0, done.stderr


def test_nothing_but_a_training_rank_imports_horovod():
    done = import_without(MODULES, ["horovod"])
    assert done.returncode == 0, done.stderr


def test_conversions_know_nothing_of_what_is_built_on_them():
    conversions = [name for name in MODULES if name.startswith("sparkwater.conversions")]
    done = import_without(conversions, ["sparkwater.gpu", "sparkwater.ml", "sparkwater.stacking", "horovod"])
    assert done.returncode == 0, done.stderr


def test_ml_knows_nothing_of_stacking():
    done = import_without([name for name in MODULES if name.startswith("sparkwater.ml")], ["sparkwater.stacking"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["conversions", "ml", "stacking"])
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
    for package in ("conversions", "ml", "stacking"):
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
