"""Taylor rules of recurrent cells and of the layers made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from .._registry import rule

_torch: Any = torch  # its annotations do not know that its functions take jets

Parameters = Sequence[Any]
"""Weights of input and state, and their biases if there are any, and the projection of an LSTM if there is one."""

State = tuple[Any, ...]
"""What a cell passes on; its first entry is the output."""

Cell = Callable[[Any, State, Parameters], State]


def _gates(x: Any, state: Any, p: Parameters) -> tuple[Any, Any]:
    """What input and state contribute."""
    biases = p[2:4] if len(p) >= 4 else (None, None)
    return F.linear(x, p[0], biases[0]), F.linear(state, p[1], biases[1])


def _gru(x: Any, state: State, p: Parameters) -> State:
    """``h' = n + z (h - n)``, ``n = tanh(a_n + r b_n)``."""
    (reset_x, keep_x, new_x), (reset_h, keep_h, new_h) = (part.chunk(3, -1) for part in _gates(x, state[0], p))
    keep = _torch.sigmoid(keep_x + keep_h)
    new = _torch.tanh(new_x + _torch.sigmoid(reset_x + reset_h) * new_h)
    return (new + keep * (state[0] - new),)


def _lstm(x: Any, state: State, p: Parameters) -> State:
    """``c' = f c + i g``, ``h' = o tanh(c')``, projected if there is a fifth parameter."""
    entry, forget, new, out = sum(_gates(x, state[0], p)).chunk(4, -1)  # type: ignore[union-attr]
    memory = _torch.sigmoid(forget) * state[1] + _torch.sigmoid(entry) * _torch.tanh(new)
    y = _torch.sigmoid(out) * _torch.tanh(memory)
    return (y if len(p) % 2 == 0 else F.linear(y, p[-1])), memory


def _tanh(x: Any, state: State, p: Parameters) -> State:
    return (_torch.tanh(sum(_gates(x, state[0], p))),)


def _relu(x: Any, state: State, p: Parameters) -> State:
    return (_torch.relu(sum(_gates(x, state[0], p))),)


def _present(*parameters: Any) -> Parameters:
    return [p for p in parameters if p is not None]


def _register_cell(operation: Callable[..., Any], cell: Cell) -> None:
    @rule(operation)
    def handler(x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        state = tuple(hx) if isinstance(hx, list | tuple) else (hx,)
        found = cell(x, state, _present(w_ih, w_hh, b_ih, b_hh))
        return found if len(found) > 1 else found[0]


_register_cell(torch.gru_cell, _gru)
_register_cell(torch.lstm_cell, _lstm)
_register_cell(torch.rnn_tanh_cell, _tanh)
_register_cell(torch.rnn_relu_cell, _relu)


def _register_layer(operation: Callable[..., Any], cell: Cell) -> None:
    @rule(operation)
    def handler(
        x: Any, hx: Any, params: Any, has_biases: Any, num_layers: Any, dropout: Any, train: Any, bidirectional: Any,
        batch_first: Any,
    ) -> Any:  # fmt: skip
        if not isinstance(has_biases, bool):  # the place of the parameters, if the second argument is batch sizes
            raise JetRuleError("packed sequences of jets have no rule; pad them to one length")
        if dropout and train:
            raise JetRuleError("a derivative through active dropout is random; call model.eval() first")
        states = tuple(hx) if isinstance(hx, list | tuple) else (hx,)
        steps = (x.transpose(0, 1) if batch_first else x).unbind(0)
        steps, last = _layers(cell, steps, states, params, num_layers, 2 if bidirectional else 1)
        y = _torch.stack(steps, 1 if batch_first else 0)
        return y, *(_torch.stack(entry, 0) for entry in last)


def _layers(
    cell: Cell, steps: Sequence[Any], states: State, params: Any, num_layers: int, ways: int
) -> tuple[Sequence[Any], list[list[Any]]]:  # fmt: skip
    """Run the layers one after the other, each forwards and perhaps backwards."""
    each = len(params) // (num_layers * ways)
    last: list[list[Any]] = [[] for _ in states]
    for layer in range(num_layers):
        outputs = []
        for way in range(ways):
            place = layer * ways + way
            state = tuple(entry[place] for entry in states)
            found = _run(cell, steps[::-1] if way else steps, state, params[place * each : (place + 1) * each])
            outputs.append([s[0] for s in (found[::-1] if way else found)])
            for kept, entry in zip(last, found[-1], strict=True):
                kept.append(entry)
        steps = outputs[0] if ways == 1 else [_torch.cat(pair, -1) for pair in zip(*outputs, strict=True)]
    return steps, last


def _run(cell: Cell, steps: Sequence[Any], state: State, p: Parameters) -> list[State]:
    found = []
    for x in steps:
        state = cell(x, state, p)
        found.append(state)
    return found


_register_layer(torch.gru, _gru)
_register_layer(torch.lstm, _lstm)
_register_layer(torch.rnn_tanh, _tanh)
_register_layer(torch.rnn_relu, _relu)
