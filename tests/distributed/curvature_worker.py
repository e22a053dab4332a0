"""What each of several processes runs: ``python -m tests.distributed.curvature_worker steps folder rank port``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from kjet.constraints import Dirichlet, Draw, Initial, Integral
from kjet.data import Interval, Time, make_sampler
from kjet.distributed import Axis, Mesh, connected
from kjet.operators import MLPConfig
from kjet.optim import GaussNewton, LevenbergMarquardt, SelfScaledBroyden
from kjet.pde import Burgers
from kjet.problem import Problem
from kjet.training import ConstraintConfig, ResidualObjective, SamplerConfig
from kjet.training.setup import build_model, build_objective
from kjet.training.sharding import ShardedObjective
from tests.distributed.launching import environment

PROCESSES = 2
STEPS = 5
METHODS = {
    "residual": GaussNewton(space="residual"),
    "parameter": GaussNewton(space="parameter"),
    "momentum": GaussNewton(momentum=0.9),
    "levenberg_marquardt": LevenbergMarquardt(),
    "ssbroyden": SelfScaledBroyden(),
}


def objective() -> ResidualObjective:
    conditions = [Initial(u=lambda x: -torch.sin(torch.pi * x)), Dirichlet("left", u=0.0), Integral("u")]
    problem = Problem(Burgers(nu=0.1), Interval(-1.0, 1.0) * Time(0.0, 1.0), conditions)
    generator = torch.Generator().manual_seed(0)
    network, how = MLPConfig(width=5, depth=2), {"dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(problem, network, ConstraintConfig(), generator=generator, **how)
    sampling = SamplerConfig(points=41, boundary_points=7)
    return build_objective(problem, model, soft, sampling, Draw(make_sampler("uniform"), generator))


def run(axis: Axis) -> dict[str, torch.Tensor]:
    found = {}
    for name, method in METHODS.items():
        whole = objective()
        sharded, theta = ShardedObjective(whole, axis), whole.model.flat()
        state, losses = method.init(theta), []
        for _ in range(STEPS):
            done = method.step(sharded, theta, state)
            theta, state = done.theta, done.state
            losses.append(done.loss)
        found[f"{name}.theta"], found[f"{name}.losses"] = theta, torch.tensor(losses, dtype=torch.float64)
    return found


def main() -> None:
    _, folder, rank, port = sys.argv[1:]
    with connected(environment=environment(int(rank), int(port), PROCESSES, 0)):
        torch.save(run(Mesh.build().data), Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    main()
