"""Networks and neural operators: functions of points, of jets of points, and of fields."""

from __future__ import annotations

from .activations import ACTIVATIONS, activation
from .config import NetworkConfig
from .dense import Rescale
from .factorized import FactorizedLinear
from .fbpinn import FBPINN, BatchedLinear, FBPINNConfig
from .fourier import FourierConfig, FourierFeatures, FourierNetwork
from .hypernetwork import Conditioned, HyperNetwork, HyperNetworkConfig
from .last_layer import LinearInLast, fit_last_layer, solve_last_layer
from .mlp import MLP, MLPConfig
from .mlp_hd import MLPHD, BlockLinear, MLPHDConfig
from .modified_mlp import ModifiedMLP, ModifiedMLPConfig
from .pirate_net import PirateNet, PirateNetConfig
from .regional import Regional
from .siren import Siren, SirenConfig
from .spinn import SPINN, SPINNConfig
from .windows import Windows

NETWORKS: dict[str, type[NetworkConfig]] = {
    "fbpinn": FBPINNConfig,
    "fourier": FourierConfig,
    "hypernetwork": HyperNetworkConfig,
    "mlp": MLPConfig,
    "mlp_hd": MLPHDConfig,
    "modified_mlp": ModifiedMLPConfig,
    "pirate_net": PirateNetConfig,
    "siren": SirenConfig,
    "spinn": SPINNConfig,
}
"""Name in a configuration to the description of a network of points."""

__all__ = [
    "ACTIVATIONS",
    "FBPINN",
    "MLP",
    "MLPHD",
    "NETWORKS",
    "SPINN",
    "BatchedLinear",
    "BlockLinear",
    "Conditioned",
    "FBPINNConfig",
    "FactorizedLinear",
    "FourierConfig",
    "FourierFeatures",
    "FourierNetwork",
    "HyperNetwork",
    "HyperNetworkConfig",
    "LinearInLast",
    "MLPConfig",
    "MLPHDConfig",
    "ModifiedMLP",
    "ModifiedMLPConfig",
    "NetworkConfig",
    "PirateNet",
    "PirateNetConfig",
    "Regional",
    "Rescale",
    "SPINNConfig",
    "Siren",
    "SirenConfig",
    "Windows",
    "activation",
    "fit_last_layer",
    "solve_last_layer",
]
