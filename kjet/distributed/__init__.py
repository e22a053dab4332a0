"""Work shared by several processes: points along one axis of a mesh, directions of jets along the other.

Every process runs the same program on its part. Operator values are added before the residual is formed, gradients once
after it, and the result is that of one process.
"""

from .directional import directional_sum, laplacian
from .mesh import Axis, Mesh, Share
from .plan import ShardedPlan
from .reduction import reduce_gradients, sum_over
from .replicas import ReplicaError, check_replicas
from .start import connected

__all__ = [
    "Axis",
    "Mesh",
    "ReplicaError",
    "ShardedPlan",
    "Share",
    "check_replicas",
    "connected",
    "directional_sum",
    "laplacian",
    "reduce_gradients",
    "sum_over",
]
