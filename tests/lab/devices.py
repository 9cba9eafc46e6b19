"""A device that is not the CPU, for tests on machines without one: its tensors hold their numbers in a CPU tensor, and
operations that a GPU would refuse are refused here.

That are operations on tensors of both devices, other than copies, indices and numbers (0 axes), which PyTorch lets mix;
NumPy's view of a tensor; and draws from a generator of the CPU.
"""

from __future__ import annotations

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

#: A type of device that every build of PyTorch knows and nobody uses.
NAME = "lazy"

_COPIES = {torch.ops.aten.copy_, torch.ops.aten._to_copy}
_INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}


class _Elsewhere(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, inner.size(), device=NAME, **layout)

    def __init__(self, inner):
        self.on_cpu = inner.resolve_conj().resolve_neg()  # what PyTorch sees has no such flags

    def __deepcopy__(self, memo):
        copied = _Elsewhere(self.on_cpu.clone()).requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copied._is_param = True
        return copied

    def __format__(self, spec):  # as of a plain tensor, which PyTorch tells by its type
        return format(self.item() if self.ndim == 0 else self.on_cpu, spec)

    def __repr__(self):
        return f"{self.on_cpu!r} on {NAME}"

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


def _inner(value):
    return value.on_cpu if isinstance(value, _Elsewhere) else value


def _run(operation, args, kwargs):
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    there = any(isinstance(value, _Elsewhere) for value in tensors)
    packet = operation.overloadpacket if isinstance(operation, torch._ops.OpOverload) else operation
    if packet in _INDEXING:  # indices may be on the CPU, what is indexed only with them
        tensors = args[:1] if there else []
    strangers = [value for value in tensors if value.ndim and not isinstance(value, _Elsewhere)]
    if there and strangers and packet not in _COPIES:
        raise RuntimeError(f"{operation} on tensors of two devices, {NAME} and cpu {tuple(strangers[0].shape)}")
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == NAME
        if there and kwargs.get("generator") is not None:
            raise RuntimeError(f"{operation} on {NAME} with a generator of the CPU")
        kwargs = kwargs | {"device": torch.device("cpu")}
    result = operation(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if operation._schema.name.endswith("_"):  # in place
        changes_shape = isinstance(operation, torch._ops.OpOverload) and torch.Tag.inplace_view in operation.tags
        if changes_shape and isinstance(args[0], _Elsewhere):  # such as transpose_: PyTorch must see the shape
            args[0].data = _Elsewhere(args[0].on_cpu)
        return args[0]
    if "out" in kwargs:
        return kwargs["out"]
    if not there:
        return result
    return tree_map(lambda value: _Elsewhere(value) if isinstance(value, torch.Tensor) else value, result)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class _Constructors(TorchFunctionMode):
    """torch.tensor and a list as index are moved to the device where no mode of operations sees it."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.__getitem__ and isinstance(args[1], list):
            args = args[0], torch.tensor(args[1])
        device = kwargs.pop("device", None) if function in (torch.tensor, torch.as_tensor) else None
        result = function(*args, **kwargs)
        return result if device is None else result.to(device)


@contextlib.contextmanager
def elsewhere():
    """While the context lasts, tensors can be made on the device :data:`NAME` and moved to it."""
    with _Constructors(), _Operations():
        yield
