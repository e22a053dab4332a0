"""Register kjet's own components, so that configurations can name them."""

from __future__ import annotations

from ..data import SAMPLERS
from ..operators import NETWORKS
from ..optim import (
    LBFGS,
    PSGD,
    SOAP,
    Adam,
    Auto,
    GaussNewton,
    GaussNewtonBlock,
    GaussNewtonCG,
    GaussNewtonNystrom,
    LevenbergMarquardt,
    Muon,
    NysNewtonCG,
    SelfScaledBroyden,
    Shampoo,
    StochasticGaussNewton,
)
from ..optim.balance import (
    NTK,
    Causal,
    ConFIG,
    GradNorm,
    JacobianDescent,
    LearningRateAnnealing,
    MomentumConFIG,
    ReLoBRaLo,
    SelfAdaptive,
    SoftAdapt,
    Unbalanced,
)
from ..registry import register
from .curriculum import GeometricCurriculum, LinearCurriculum, NoCurriculum
from .estimation import AutoEstimatorConfig, ExactConfig, HutchinsonConfig, STDEConfig
from .loggers import LOGGERS
from .settings import SamplerConfig

OPTIMIZERS = {
    "auto": Auto,
    "gauss_newton": GaussNewton,
    "levenberg_marquardt": LevenbergMarquardt,
    "ssbroyden": SelfScaledBroyden,
    "lbfgs": LBFGS,
    "soap": SOAP,
    "adam": Adam,
    "gauss_newton_nystrom": GaussNewtonNystrom,
    "stochastic_gauss_newton": StochasticGaussNewton,
    "gauss_newton_cg": GaussNewtonCG,
    "gauss_newton_block": GaussNewtonBlock,
    "nncg": NysNewtonCG,
    "shampoo": Shampoo,
    "muon": Muon,
    "psgd": PSGD,
}

BALANCES = {
    "none": Unbalanced,
    "causal": Causal,
    "self_adaptive": SelfAdaptive,
    "config": ConFIG,
    "momentum_config": MomentumConFIG,
    "jacobian_descent": JacobianDescent,
    "ntk": NTK,
    "grad_norm": GradNorm,
    "learning_rate_annealing": LearningRateAnnealing,
    "relobralo": ReLoBRaLo,
    "softadapt": SoftAdapt,
}

CURRICULA = {"none": NoCurriculum, "geometric": GeometricCurriculum, "linear": LinearCurriculum}

ESTIMATORS = {"auto": AutoEstimatorConfig, "exact": ExactConfig, "hutchinson": HutchinsonConfig, "stde": STDEConfig}

for _name, _network in NETWORKS.items():
    register("operator", _name)(_network)
for _name, _optimizer in OPTIMIZERS.items():
    register("optimizer", _name)(_optimizer)
for _name, _balance in BALANCES.items():
    register("balance", _name)(_balance)
for _name, _curriculum in CURRICULA.items():
    register("curriculum", _name)(_curriculum)
for _name, _sampler in SAMPLERS.items():
    register("sampler", _name)(_sampler)
register("sampler", "auto")(SamplerConfig)
for _name, _estimator in ESTIMATORS.items():
    register("estimator", _name)(_estimator)
for _name, _logger in LOGGERS.items():
    register("logger", _name)(_logger)
