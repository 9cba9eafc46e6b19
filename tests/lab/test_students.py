"""Students start as they say: the authors' S4, other scales of the maps, truncated normals."""

import math

import pytest
import torch

from rnnlib.lab.experiments.students import STUDENTS


def made(name, width=1024, start=0.99, heads=1):
    return STUDENTS[name](width, heads, start, math.pi, torch.Generator().manual_seed(3))


def test_s4_of_the_authors_has_moduli_on_the_ring_and_angles_near_zero():
    """Erratum 10: angles are drawn up to 2 pi, but divided by the raw step, which is negative and large."""
    layer = made("s4d_authors")
    lam = layer.eigenvalues().detach()
    assert lam.abs().min() > 0.99 and lam.abs().max() < 1
    assert (layer.A[:, 0] == -1).all()
    assert lam.angle().max() <= 0 and lam.angle().min() > -0.02
    for weight in (layer.B, layer.C):
        assert weight.std().item() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("changed", "like", "width", "heads"),
    [("block_wide_crnn_maps", "crnn", 128, 64), ("crnn_block_maps", "block_wide", 64, 1)],
)
def test_single_changes_take_the_scales_of_the_other_student(changed, like, width, heads):
    """Mean squares over many draws: a student of the one kind with the maps of the other."""
    scales = {}
    for name, size, blocks in [(changed, width, heads), (like, 192 - width, 65 - heads)]:
        layers = [STUDENTS[name](size, blocks, 0.5, math.pi, torch.Generator().manual_seed(seed)) for seed in range(40)]
        scales[name] = [torch.stack([getattr(layer, weight) for layer in layers]).std().item() for weight in "BC"]
    assert scales[changed] == pytest.approx(scales[like], rel=0.05)


@pytest.mark.parametrize("name", ["rnn", "lru"])
def test_truncated_normals_end_at_two_standard_deviations_and_keep_the_variance(name):
    width = 64 if name == "rnn" else 512
    plain, cut = (
        [STUDENTS[kind](width, 1, 0.5, math.pi, torch.Generator().manual_seed(seed)) for seed in range(60)]
        for kind in (name, f"{name}_truncated")
    )
    for weight in "BC":
        before, after = (torch.stack([getattr(layer, weight).detach() for layer in layers]) for layers in (plain, cut))
        assert after.std().item() == pytest.approx(before.std().item(), rel=0.03)
        assert after.abs().max() < 2 / 0.8796 * before.std() * 1.03 < before.abs().max()
        in_order = after.flatten()[before.flatten().argsort()]
        assert in_order.diff().min() >= 0  # the same draws
    recurrent = plain[0].recurrent_parameters
    assert all(torch.equal(getattr(plain[0], weight), getattr(cut[0], weight)) for weight in recurrent)


def test_a_dense_network_from_blocks_starts_with_their_outputs_in_either_basis():
    layers = [made(name, width=16, heads=8) for name in ("block", "rnn_from_blocks", "rnn_from_blocks_turned")]
    block, straight, turned = (layer.impulse_response(100).detach() for layer in layers)
    torch.testing.assert_close(straight, block, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(turned, block, rtol=1e-3, atol=1e-3)
    assert layers[1].A.shape == layers[2].A.shape == (1, 16, 16)
    assert (layers[1].A == 0).sum() == 256 - 32 and (layers[2].A == 0).sum() == 0
