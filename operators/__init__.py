"""Networks and neural operators: functions of points, of jets of points, and of fields."""

from __future__ import annotations

from .activations import ACTIVATIONS, activation
from .config import NetworkConfig
from .dense import Rescale
from .fourier import FourierConfig, FourierFeatures, FourierNetwork
from .mlp import MLP, MLPConfig
from .mlp_hd import MLPHD, BlockLinear, MLPHDConfig
from .modified_mlp import ModifiedMLP, ModifiedMLPConfig
from .siren import Siren, SirenConfig

NETWORKS: dict[str, type[NetworkConfig]] = {
    "fourier": FourierConfig,
    "mlp": MLPConfig,
    "mlp_hd": MLPHDConfig,
    "modified_mlp": ModifiedMLPConfig,
    "siren": SirenConfig,
}
"""Name in a configuration to the description of a network of points."""

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "MLPHD",
    "NETWORKS",
    "BlockLinear",
    "FourierConfig",
    "FourierFeatures",
    "FourierNetwork",
    "MLPConfig",
    "MLPHDConfig",
    "ModifiedMLP",
    "ModifiedMLPConfig",
    "NetworkConfig",
    "Rescale",
    "Siren",
    "SirenConfig",
    "activation",
]
