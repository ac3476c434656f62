"""The JavaScript of docs/bundle.md, as Node runs it with onnxruntime from npm."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import ROOT
from made_bundles import mixed, mixed_bundle, write

#: Packages that `make test` has put there.
PACKAGES = ROOT / "build" / "node" / "node_modules"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program of the page, beside onnxruntime for Node."""
    if shutil.which("node") is None or not (PACKAGES / "onnxruntime-node").is_dir():
        pytest.skip("node, or onnxruntime for it, is not installed; scripts/setup_node.sh build/node installs it")
    (code,) = re.findall(r"^```javascript\n(.*?)^```$", (ROOT / "docs/bundle.md").read_text(), re.MULTILINE | re.DOTALL)
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "score.mjs").write_text(code)
    return folder / "score.mjs"


@pytest.mark.slow
def test_javascript_scores_the_test_vectors_as_expected(program, tmp_path):
    folder = mixed_bundle(tmp_path / "bundle")
    done = subprocess.run(["node", program, folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    content, signature, vectors, texts = mixed()
    vectors["output:double"] = np.array([3.0, 4.1])
    folder = write(tmp_path / "wrong", content, signature, vectors, texts)
    done = subprocess.run(["node", program, folder], capture_output=True, text=True, check=False)
    assert "double: 4 is not 4.1" in done.stderr
