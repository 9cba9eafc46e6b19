"""An LRU as an ONNX model of any batch and length: the recurrence becomes ONNX's operator Scan.

``pip install onnx onnxscript onnxruntime``, then ``python examples/export_onnx.py``.
"""

import torch
from torch._higher_order_ops.scan import scan  # it has no public name yet

from rnnlib import LRU


def as_scan(lam, x, h0, reverse, backend):
    """The operator of linear_scan, complex numbers as two real ones, since ONNX has no others."""

    def step(h, inputs):
        h = inputs[0] * h + inputs[1]
        return h, h.clone()

    def complex_step(h, inputs):
        (re, im), (lam_re, lam_im, x_re, x_im) = h, inputs
        re, im = lam_re * re - lam_im * im + x_re, lam_re * im + lam_im * re + x_im
        return (re, im), (re.clone(), im.clone())

    if not x.is_complex():
        return scan(step, h0, (lam.expand_as(x).clone(), x), dim=1, reverse=reverse)[1]
    parts = [part.expand(x.shape).contiguous() for t in (lam, x) for part in torch.view_as_real(t).unbind(-1)]
    start = tuple(part.contiguous() for part in torch.view_as_real(h0).unbind(-1))
    return torch.view_as_complex(torch.stack(scan(complex_step, start, tuple(parts), dim=1, reverse=reverse)[1], -1))


def as_polar(z):
    """exp of complex numbers, which S4D takes."""
    return torch.polar(torch.exp(z.real), z.imag) if z.is_complex() else NotImplemented


def decomposed(layer, x):
    """The layer as a program without operators of rnnlib's, for any batch and length."""
    sizes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("time", min=2)},)
    program = torch.export.export(layer, (x,), dynamic_shapes=sizes)
    return program.run_decompositions(
        {torch.ops.rnnlib.linear_scan.default: as_scan, torch.ops.aten.exp.default: as_polar}
    )


if __name__ == "__main__":
    import onnxruntime

    layer = LRU(3, 16, 2, min_modulus=0.9).eval()
    torch.onnx.export(decomposed(layer, torch.randn(2, 8, 3)), dynamo=True).save("lru.onnx")
    x, session = torch.randn(5, 100, 3), onnxruntime.InferenceSession("lru.onnx")
    y, state = session.run(None, {session.get_inputs()[0].name: x.numpy()})  # the state as pairs (real, imaginary)
    print("largest difference:", (torch.from_numpy(y) - layer(x)[0]).abs().max().item())
