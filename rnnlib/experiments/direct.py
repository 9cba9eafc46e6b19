"""Students of Figure 3 trained by back-propagation through time, to hold the exact method against."""

from .definition import Cell, Experiment

# At nu0 = .99, each at its best rate in Figure 3. One at a time they take tens of milliseconds a step, not tens of
# microseconds, hence no more than these two cells.
DENSE = Experiment(
    name="direct_dense",
    title="the RNN of Figure 3 at nu0 = .99, by back-propagation through time",
    cells=(Cell("rnn", rates=(0.00032,), start=0.0),),
    seeds=tuple(range(10)),
    method="direct",
)
DIAGONAL = Experiment(
    name="direct_diagonal",
    title="the LRU of Figure 3 at nu0 = .99, by back-propagation through time",
    cells=(Cell("lru", rates=(0.01,)),),
    seeds=tuple(range(10)),
    method="direct",
)
