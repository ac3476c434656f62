"""Networks: the registry, networks of the user's own, weights, inference.

A registered network is a function of the shape of one input and a number of classes; `find_network` takes
import paths and instances as well. Importing this
package fills the registry. Layers have names, by which a network can be cut open.
"""

from __future__ import annotations

from sparkwater.gpu.networks.autoencoders import autoencoder, conv_autoencoder
from sparkwater.gpu.networks.building import build_network, check_network
from sparkwater.gpu.networks.initialization import INITIALIZATIONS
from sparkwater.gpu.networks.registry import NetworkEntry, NetworkFactory, register_network, registered_networks
from sparkwater.gpu.networks.sources import find_network, is_import_path
from sparkwater.gpu.networks.tables.h2o import h2o_mlp
from sparkwater.gpu.networks.tables.plain import table_mlp
from sparkwater.gpu.networks.tables.realmlp import realmlp
from sparkwater.gpu.networks.tables.tabm import tabm
from sparkwater.gpu.networks.zoo.alexnet import alexnet
from sparkwater.gpu.networks.zoo.auto import AUTO, auto, resolve_network
from sparkwater.gpu.networks.zoo.convnet import convnet
from sparkwater.gpu.networks.zoo.googlenet import googlenet
from sparkwater.gpu.networks.zoo.inception_bn import inception_bn
from sparkwater.gpu.networks.zoo.lenet import lenet
from sparkwater.gpu.networks.zoo.mlp import mlp
from sparkwater.gpu.networks.zoo.mobilenet import mobilenet_v3_small
from sparkwater.gpu.networks.zoo.resnet import resnet18, resnet34, resnet50
from sparkwater.gpu.networks.zoo.stridednet import stridednet
from sparkwater.gpu.networks.zoo.vgg import vgg11, vgg16

__all__ = [
    "AUTO",
    "INITIALIZATIONS",
    "NetworkEntry",
    "NetworkFactory",
    "alexnet",
    "auto",
    "autoencoder",
    "build_network",
    "check_network",
    "conv_autoencoder",
    "convnet",
    "find_network",
    "googlenet",
    "h2o_mlp",
    "inception_bn",
    "is_import_path",
    "lenet",
    "mlp",
    "mobilenet_v3_small",
    "realmlp",
    "register_network",
    "registered_networks",
    "resnet18",
    "resnet34",
    "resnet50",
    "resolve_network",
    "stridednet",
    "table_mlp",
    "tabm",
    "vgg11",
    "vgg16",
]
