import pytest
import torch

from kjet.data.solvers import ghia_centreline, lid_driven_cavity
from kjet.data.solvers._cavity_parts import clamped, lid, lid_velocity, partials, plates
from kjet.data.solvers.cavity import _Galerkin
from kjet.errors import ConfigError, DivergenceError


@pytest.fixture(scope="module")
def flow():
    return lid_driven_cavity(100.0, n=28)


def square(low=0.0, high=1.0, n=200):
    x, y = torch.rand(2, n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return low + (high - low) * x, low + (high - low) * y


def extrema(flow):
    """Least u on the vertical centreline, largest and least v on the horizontal one."""
    s = torch.linspace(0, 1, 4001, dtype=torch.float64)
    half = torch.full_like(s, 0.5)
    u, v = flow(half, s)[0], flow(s, half)[1]
    return float(u.min()), float(v.max()), float(v.min())


def test_published_extrema(flow):
    """Ref: Botella, Peyret, Computers & Fluids 27, 1998: Chebyshev collocation, Re = 100."""
    assert extrema(flow) == pytest.approx((-0.2140424, 0.1795728, -0.2538030), abs=5e-6)


@pytest.mark.slow
def test_published_extrema_at_a_thousand():
    """Ref: Botella, Peyret, 1998, Re = 1000."""
    assert extrema(lid_driven_cavity(1000.0, n=40)) == pytest.approx((-0.3885698, 0.3769447, -0.5270771), abs=1e-5)


def test_ghias_table(flow):
    """Within one percent of the lid's speed everywhere, which is the table's own error."""
    y, u, x, v = ghia_centreline(100.0)
    assert len(y) == len(u) == len(x) == len(v) == 17
    half = torch.full_like(y, 0.5)
    assert (flow(half, y)[0] - u).abs().max() < 0.01
    assert (flow(x, half)[1] - v).abs().max() < 0.01


@pytest.mark.slow
def test_ghias_table_at_a_thousand():
    """The coarse scheme's own error: 0.7 % in u, 1.9 % in v."""
    flow = lid_driven_cavity(1000.0)
    y, u, x, v = ghia_centreline(1000.0)
    half = torch.full_like(y, 0.5)
    assert (flow(half, y)[0] - u).abs().max() < 0.007
    assert (flow(x, half)[1] - v).abs().max() < 0.019


def test_ghias_table_is_smooth_but_for_one_entry(flow):
    """Deviations of neighbours are alike, as a discretisation error's are; -0.04775 at y = 0.0703 stands out."""
    y, u, x, v = ghia_centreline(100.0)
    half = torch.full_like(y, 0.5)
    off_u, off_v = u - flow(half, y)[0], v - flow(x, half)[1]
    odd = [float(off[i] - (off[i - 1] + off[i + 1]) / 2) for off, i in ((off_u, 3),)]
    assert odd[0] == pytest.approx(-1.2e-3, abs=1e-4)
    near_wall = torch.cat([off_u[[1, 2, 4, 5]], off_v[[1, 2, 3, 4]].diff()])
    assert near_wall.abs().max() < 5e-4


def test_converges_with_the_number_of_polynomials():
    x, y = square(0.1, 0.9)
    fine = torch.stack(lid_driven_cavity(100.0, n=30)(x, y))
    errors = torch.stack([(torch.stack(lid_driven_cavity(100.0, n=n)(x, y)) - fine).abs().amax(1) for n in (8, 14, 22)])
    assert (errors[1:] < 0.5 * errors[:-1]).all()
    assert (errors[-1] < 1e-3).all()


def test_momentum_and_mass_balance(flow):
    """Nested autograd through the evaluator, away from the upper corners."""
    x, y = square(0.1, 0.85)
    x.requires_grad_()
    y.requires_grad_()

    def d(u, *by):
        for z in by:
            (u,) = torch.autograd.grad(u.sum(), z, create_graph=True)
        return u

    u, v, p = flow(x, y)
    convection = u * d(u, x) + v * d(u, y)
    momentum_x = convection + d(p, x) - (d(u, x, x) + d(u, y, y)) / 100
    momentum_y = u * d(v, x) + v * d(v, y) + d(p, y) - (d(v, x, x) + d(v, y, y)) / 100
    assert (d(u, x) + d(v, y)).abs().max() < 1e-10
    assert torch.stack([momentum_x, momentum_y]).abs().max() < 0.02 * convection.abs().max()


def test_walls(flow):
    s = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    zero, one = torch.zeros_like(s), torch.ones_like(s)
    for x, y, speed in ((s, one, 1.0), (s, zero, 0.0), (zero, s, 0.0), (one, s, 0.0)):
        u, v, _ = flow(x, y)
        assert (u - speed).abs().max() < 1e-12
        assert v.abs().max() < 1e-12


def test_upper_corners_are_finite_and_signed(flow):
    u, v, p = flow(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0]))
    assert torch.allclose(u, torch.ones(2, dtype=torch.float64))
    assert v.abs().max() < 1e-12
    assert p[0] < -1e6
    assert p[1] > 1e6  # the lid drives the fluid into the right corner


def test_pressure_has_mean_zero():
    """The corner pressures cancel by symmetry; Gauss points never meet the corners."""
    flow = lid_driven_cavity(50.0, n=12)
    system = _Galerkin(30)
    p = flow(*system.mesh)[2]
    assert abs(float((system.w * p).sum())) < 1e-8


def test_stokes_flow_is_symmetric():
    """Without inertia the flow reads the same from both sides."""
    flow = lid_driven_cavity(1e-6, n=16)
    x, y = square()
    u, v, p = flow(x, y)
    mirrored = flow(1 - x, y)
    assert torch.allclose(u, mirrored[0], atol=1e-7)
    assert torch.allclose(v, -mirrored[1], atol=1e-7)
    assert (p + mirrored[2]).abs().max() < 1e-6 * p.abs().max()


def test_corner_flow_is_biharmonic_and_balanced_by_its_pressure():
    x, y = square(0.05, 0.95)
    f = partials(plates, x, y, 4)
    assert (f[4, 0] + 2 * f[2, 2] + f[0, 4]).abs().max() < 1e-8
    x.requires_grad_()
    y.requires_grad_()
    p = lid_velocity(x, y)[2]
    p_x, p_y = torch.autograd.grad(p.sum(), (x, y))
    assert torch.allclose(p_x, f[2, 1] + f[0, 3], atol=1e-9)
    assert torch.allclose(p_y, -(f[3, 0] + f[1, 2]), atol=1e-9)


def test_lid_velocity_is_the_derivative_of_its_stream_function():
    x, y = square()
    f = partials(lid, x, y, 1)
    u, v, _ = lid_velocity(x, y)
    assert torch.allclose(u, f[0, 1], atol=1e-12)
    assert torch.allclose(v, -f[1, 0], atol=1e-12)


def test_clamped_polynomials():
    ends = clamped(torch.tensor([0.0, 1.0], dtype=torch.float64), 9, 1)
    assert ends.abs().max() < 1e-12
    system = _Galerkin(9)
    second = system.phi[2] @ (system.w.sum(1)[:, None] * system.phi[2].T)
    assert torch.allclose(second, torch.eye(9, dtype=torch.float64), atol=1e-11)


def test_jacobian_is_the_derivative_of_the_residual():
    system = _Galerkin(5)
    c, step = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    h = 1e-4
    difference = (system.residual(c + h * step, 0.01) - system.residual(c - h * step, 0.01)) / (2 * h)
    product = (system.jacobian(c, 0.01) @ step.reshape(-1)).reshape(5, 5)
    assert torch.allclose(product, difference, atol=1e-9)  # the residual is quadratic: central differences are exact


@pytest.mark.parametrize(("reynolds", "n"), [(0.0, 16), (-5.0, 16), (float("inf"), 16), (100.0, 3)])
def test_wrong_arguments_are_refused(reynolds, n):
    with pytest.raises(ConfigError, match="reynolds"):
        lid_driven_cavity(reynolds, n=n)


def test_points_outside_are_refused(flow):
    with pytest.raises(ConfigError, match="outside the cavity"):
        flow(torch.tensor([1.5]), torch.tensor([0.5]))


def test_too_few_polynomials_for_the_reynolds_number_raise():
    with pytest.raises(DivergenceError, match="Raise n"):
        lid_driven_cavity(1e5, n=6)


def test_the_tables_hold_two_reynolds_numbers():
    with pytest.raises(ConfigError, match="for 100 and 1000"):
        ghia_centreline(400.0)
