"""Layers as ONNX models. The conversion needs onnx, onnxscript and onnxruntime, which the tests do not install."""

import importlib.util
import sys

import pytest
import torch

from rnnlib import LRU, S4D, ChronoGRU, ChronoLSTM, DenseRNN, DiagonalRNN

SCANS = {
    "LRU": lambda: LRU(3, 8, 2),
    "DiagonalRNN": lambda: DiagonalRNN(3, 8, 2),
    "S4D": lambda: S4D(3, 8, 2),
    "ChronoGRU, gates input": lambda: ChronoGRU(3, 8, candidate="linear", gates="input"),
    "ChronoLSTM, gates constant": lambda: ChronoLSTM(3, 8, candidate="linear", gates="constant"),
}
LOOPS = {
    "DenseRNN": lambda: DenseRNN(3, 8, 2),
    "ChronoGRU": lambda: ChronoGRU(3, 8),
    "ChronoLSTM": lambda: ChronoLSTM(3, 8),
}
SHAPES = [(2, 6, 3), (5, 6, 3), (3, 11, 3)]


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()  # torch's scan may else find the steps of another layer


@pytest.fixture(scope="module")
def example(root):
    spec = importlib.util.spec_from_file_location("export_onnx", root / "examples" / "export_onnx.py")
    module = sys.modules["export_onnx"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", SCANS)
def test_a_layer_without_operators_of_its_own_is_the_same(example, kind):
    layer = SCANS[kind]().requires_grad_(False)
    program = example.decomposed(layer, torch.randn(SHAPES[0]))
    assert "rnnlib" not in str(program.graph)
    for shape in SHAPES:
        x = torch.randn(shape)
        torch.testing.assert_close(program.module()(x), layer(x))


class Step(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, state):
        return self.layer.step(x, state)


@pytest.mark.parametrize("kind", [*SCANS, *LOOPS])
def test_an_onnx_model_computes_the_same(example, kind, tmp_path):
    """Scans for any batch and length, loops for any batch and the length of the example, steps of all."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import onnxruntime

    def check(program, module, cases):
        torch.onnx.export(program, dynamo=True, verbose=False).save(tmp_path / "layer.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "layer.onnx")
        for inputs in cases:
            real = [torch.view_as_real(t) if t.is_complex() else t for t in torch.utils._pytree.tree_leaves(inputs)]
            fed = dict(zip([each.name for each in session.get_inputs()], [t.numpy() for t in real], strict=True))
            y = torch.from_numpy(session.run(None, fed)[0])
            torch.testing.assert_close(y, module(*inputs)[0], rtol=1e-4, atol=1e-5)

    layer = (SCANS | LOOPS)[kind]().requires_grad_(False).eval()
    example_input = torch.randn(SHAPES[0])
    if kind in SCANS:
        check(example.decomposed(layer, example_input), layer, [(torch.randn(shape),) for shape in SHAPES])
    else:
        sizes = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(layer, (example_input,), dynamic_shapes=sizes)
        check(program, layer, [(torch.randn(shape),) for shape in SHAPES[:2]])
    step, inputs = Step(layer), (torch.randn(2, 3), layer.initial_state(2))
    table = {torch.ops.aten.exp.default: example.as_polar}
    check(torch.export.export(step, inputs).run_decompositions(table), step, [inputs])
