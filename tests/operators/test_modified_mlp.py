import numpy as np
import torch

from kjet.operators import ModifiedMLP


def test_matches_the_formula_of_the_paper():
    net = ModifiedMLP(2, 1, width=4, depth=3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = np.array([[0.3, -0.7], [0.9, 0.4]])

    def apply(layer, h):
        return h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

    u, v, h = np.tanh(apply(net.encoder_u, x)), np.tanh(apply(net.encoder_v, x)), x
    for layer in net.layers:
        z = np.tanh(apply(layer, h))
        h = (1 - z) * v + z * u
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), apply(net.last, h), rtol=1e-13, atol=1e-15)
    assert len(net.layers) == 3


def test_equal_encoders_close_the_gates():
    net = ModifiedMLP(2, 1, width=4, depth=3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net.encoder_u.load_state_dict(net.encoder_v.state_dict())
    x = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(x), net.last(torch.tanh(net.encoder_v(x))))
