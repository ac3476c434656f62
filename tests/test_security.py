"""Nothing here executes what it reads, and dependencies with known holes are refused."""

from __future__ import annotations

import ast
from importlib.metadata import requires
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

SOURCES = sorted(
    [*(ROOT / "sparkwater").rglob("*.py"), *(ROOT / "jobs").glob("*.py"), *(ROOT / "scripts").glob("*.py")]
)
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {
    "torch.load",
    "torch.save",
    "torch.jit.load",
    "torch.export.load",
    "os.system",
    "os.popen",
    "np.load",
    "pd.read_pickle",
    "yaml.load",
}

#: Where one of them is needed, and why.
ALLOWED = {
    # What travels beside a function to executors, pickled as Spark pickles the function: from the same client, by the
    # session's own artifacts.
    "sparkwater/conversions/sessions/shipping.py": ["pickle"],
    # petastorm's schema is a pickle: an unpickler that gives inert stand-ins for a fixed list of names.
    "sparkwater/conversions/petastorm/schema_pickle.py": ["pickle"],
    # State dicts that torch.save wrote, with weights_only=True: tests/gpu/test_pretrained.py shows what that refuses.
    "sparkwater/gpu/networks/state_files.py": ["torch.load"],
    # Tries whether a function can travel as Spark's closures do; it loads nothing.
    "sparkwater/ml/params/observing.py": ["cloudpickle"],
    # The Python of a flow's actions: literals and checked names alone, as tests/flow/test_code.py shows.
    "sparkwater/flow/work/workspace.py": ["exec", "compile"],
}


def findings(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if alias.name in FORBIDDEN_MODULES]
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
                found.append(function.id)
            if isinstance(function, ast.Attribute):
                name = ast.unparse(function)
                found += [name] if name in FORBIDDEN_ATTRIBUTES else []
            found += ["shell=True" for keyword in node.keywords if keyword.arg == "shell"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle_no_shell_no_eval(path: Path):
    assert findings(path.read_text()) == ALLOWED.get(path.relative_to(ROOT).as_posix(), [])


def test_the_search_finds_what_it_looks_for():
    bad = "import pickle\nfrom cloudpickle import loads\neval('1')\nimport torch\ntorch.load('x')\nf('x', shell=True)\n"
    assert findings(bad) == ["pickle", "cloudpickle", "eval", "torch.load", "shell=True"]
    assert sorted(findings("from pyspark import cloudpickle\ntorch.jit.load('x')\n")) == [
        "cloudpickle",
        "torch.jit.load",
    ]


@pytest.mark.parametrize(
    ("package", "hole"), [("pyarrow", "14.0.0"), ("pillow", "12.2.0"), ("torch", "2.9.1"), ("pyspark", "3.5.7")]
)
def test_dependencies_with_known_holes_are_out_of_range(package, hole):
    required = [Requirement(text) for text in requires("sparkwater") or []]
    # Of the base, or of the extra with all that trains; others only narrow them.
    markers = (None, 'extra == "spark"')
    ranges = [
        each.specifier for each in required if each.name == package and (each.marker and str(each.marker)) in markers
    ]
    assert ranges
    assert not any(each.contains(hole) for each in ranges)


def test_no_secret_of_a_training_is_printed():
    from sparkwater.ml.launch.driver_channel import DriverChannel

    assert "hush" not in repr(DriverChannel("127.0.0.1", 1, b"hush"))
