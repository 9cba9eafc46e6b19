"""Back-propagation through time on the same minibatches gives what the exact method gives."""

import numpy as np
import pytest
import torch

from rnnlib import LRU, DenseRNN, DiagonalRNN
from rnnlib.lab import systems
from rnnlib.lab.direct import DirectEnsemble, outputs
from rnnlib.lab.training import Ensemble, Member, Protocol, one_thread

PROTOCOL = Protocol(steps=40, report=10, batch=8, length=50)


def members(dtype=torch.float64):
    """Four students of three kinds on two data seeds, the last with a rate at which it diverges."""
    layers = [
        DenseRNN(1, 8, 1, generator=torch.Generator().manual_seed(0)),
        LRU(1, 8, 1, min_modulus=0.8, generator=torch.Generator().manual_seed(1)),
        DenseRNN(1, 8, 1, heads=4, generator=torch.Generator().manual_seed(2)),
        DiagonalRNN(1, 8, 1, normalize=True, generator=torch.Generator().manual_seed(3)),
    ]
    target = systems.teacher(0, 0.8).impulse_response(PROTOCOL.length)
    settings = zip(layers, (0.001, 0.01, 0.003, 1e30), (0, 0, 1, 1), strict=True)
    return [Member(layer.to(dtype), target, rate, seed) for layer, rate, seed in settings]


def trained(kind, members):
    with one_thread():
        ensemble = kind(members, PROTOCOL)
        while ensemble.done < PROTOCOL.steps:
            ensemble.advance()
    return ensemble.summary()


def test_teacher_s_outputs_are_those_of_its_recurrence():
    system, x = systems.teacher(1, 0.9), systems.white_inputs(0, 0, 3, 60).double()
    A, B, C, D = (values.numpy() for values in (system.A, system.B[:, None], system.C, system.D))
    state, y = np.zeros((10, 3)), []
    for now in x.numpy().T:
        state = A @ state + B * now
        y.append(C @ state + D * now)
    np.testing.assert_allclose(outputs(x, system.impulse_response(60)).numpy(), np.stack(y, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:overflow")
def test_directly_or_exactly_the_same_trajectories():
    direct, exact = trained(DirectEnsemble, members()), trained(Ensemble, members())
    assert direct.diverged.tolist() == exact.diverged.tolist() == [False, False, False, True]
    np.testing.assert_allclose(direct.curve[:3], exact.curve[:3], rtol=1e-6)
    np.testing.assert_allclose(direct.zero_loss, exact.zero_loss, rtol=1e-6)  # also of the one that diverged
    assert (direct.curve[:2, -1] < direct.curve[:2, 0]).all()


def test_an_interruption_changes_nothing(tmp_path):
    whole = trained(DirectEnsemble, members(torch.float32))
    with one_thread():
        first = DirectEnsemble(members(torch.float32), PROTOCOL)
        first.advance()
        first.advance()
        first.save(tmp_path / "checkpoint.npz")
        second = DirectEnsemble(members(torch.float32), PROTOCOL)
        second.restore(tmp_path / "checkpoint.npz")
        while second.done < PROTOCOL.steps:
            second.advance()
    np.testing.assert_array_equal(second.summary().curve, whole.curve)
    np.testing.assert_array_equal(second.summary().zero_loss, whole.zero_loss)
    with pytest.raises(ValueError, match="checkpoint of other students"):
        DirectEnsemble(members()[:2], PROTOCOL).restore(tmp_path / "checkpoint.npz")


def test_a_checkpoint_of_one_method_can_be_gone_on_with_by_the_other(tmp_path):
    whole = trained(Ensemble, members())
    for first, second in ((DirectEnsemble, Ensemble), (Ensemble, DirectEnsemble)):
        with one_thread():
            begun, resumed = first(members(), PROTOCOL), second(members(), PROTOCOL)
            begun.advance()
            begun.advance()
            begun.save(tmp_path / "checkpoint.npz")
            resumed.restore(tmp_path / "checkpoint.npz")
            while resumed.done < PROTOCOL.steps:
                resumed.advance()
        np.testing.assert_allclose(resumed.summary().curve, whole.curve, rtol=1e-6)


def test_no_summary_before_the_end():
    with pytest.raises(RuntimeError, match="40 of 40 steps are left"):
        DirectEnsemble(members(), PROTOCOL).summary()


def test_inputs_and_response_must_be_equally_long():
    with pytest.raises(ValueError, match=r"x must have shape \(2, 3\), got \(2, 5\)"):
        outputs(torch.ones(2, 5), torch.ones(3))
