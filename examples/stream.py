"""A stream: whole pieces where they are there, then step by step. Run it as ``python examples/stream.py``."""

import torch

from rnnlib import LRU

layer = LRU(input_size=3, hidden_size=64, output_size=2, min_modulus=0.9)
x = torch.randn(1, 1000, 3)
whole, _ = layer(x)

# The first 900 steps at once, in two pieces; the second goes on where the first ended.
first, state = layer(x[:, :500])
second, state = layer(x[:, 500:900], state)

# Then one step at a time, as samples come in. `step` can be trained through; `stepper` computes all that does not
# depend on the input once, and is for inference.
advance = layer.stepper()
outputs = []
for t in range(900, 1000):
    y, state = advance(x[:, t], state)
    outputs.append(y)

streamed = torch.cat([first, second, torch.stack(outputs, 1)], 1)
torch.testing.assert_close(streamed, whole, rtol=1e-4, atol=1e-4)
print("the stream gives what the whole sequence gives, up to", (streamed - whole).abs().max().item())
