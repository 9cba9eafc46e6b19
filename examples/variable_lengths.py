"""Sequences of unequal length in a batch, and documents in one sequence: ``python examples/variable_lengths.py``."""

import torch
from torch.nn.utils.rnn import pad_sequence

from rnnlib import LRU

layer = LRU(input_size=4, hidden_size=32, output_size=4, min_modulus=0.9)
documents = [torch.randn(length, 4) for length in (7, 3, 5)]
alone = [layer(document[None]) for document in documents]

# Side by side: outputs beyond a length are 0, and the state is that of each sequence's own end.
padded = pad_sequence(documents, batch_first=True)
y, state = layer(padded, lengths=torch.tensor([7, 3, 5]))
for row, (own, end) in enumerate(alone):
    torch.testing.assert_close(y[row, : own.shape[1]], own[0])
    torch.testing.assert_close(state[row], end[0])
assert not y[1, 3:].any()

# One after another: the state is zero before each step that `reset` marks.
packed = torch.cat(documents)[None]
reset = torch.zeros(1, 15, dtype=torch.bool)
reset[0, [0, 7, 10]] = True
y, _ = layer(packed, reset=reset)
torch.testing.assert_close(y[0], torch.cat([own[0] for own, _ in alone]))
print("padded and packed documents give what each gives alone")
