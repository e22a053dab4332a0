"""Work shared by several processes: points, directions of jets and columns of a first layer along the axes of a mesh.

Every process runs the same program on its part. Operator values are added before the residual is formed, gradients once
after it, and the result is that of one process.
"""

from .column_parallel import ColumnParallelLinear
from .columns import Columns
from .directional import directional_sum, laplacian
from .gradients import reduce_gradients, replicated
from .mesh import Axis, Mesh, Share
from .plan import ShardedPlan
from .reduction import sum_over
from .replicas import ReplicaError, check_replicas
from .start import connected

__all__ = [
    "Axis",
    "ColumnParallelLinear",
    "Columns",
    "Mesh",
    "ReplicaError",
    "ShardedPlan",
    "Share",
    "check_replicas",
    "connected",
    "directional_sum",
    "laplacian",
    "reduce_gradients",
    "replicated",
    "sum_over",
]
