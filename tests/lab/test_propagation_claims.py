"""Measures of Figures 5 and 13 on made-up tables whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from rnnlib.lab import claims, experiments
from rnnlib.lab.claims import fig05, fig13
from rnnlib.lab.experiments.propagation import QUANTITIES, TEXTS

KEYS = ["draw", "source", "kind", "normalization", "time", "target", "layer"]


@pytest.fixture
def table(monkeypatch):
    """A table of the paper's size, -3 decades everywhere, which the claims read; the caller changes it."""
    experiment = experiments.get("fig05_draws")
    frame = pd.DataFrame(experiment.schemas()["runs"].rows, columns=KEYS)
    frame = frame.assign(**dict.fromkeys(QUANTITIES, -3.0))
    monkeypatch.setattr(fig05, "load", lambda name: frame)
    fig05._cells.cache_clear()
    yield frame
    fig05._cells.cache_clear()


def change(frame, quantity, by, **where):
    """Add decades to the rows that have these values; ``by`` may be one number a draw."""
    chosen = np.logical_and.reduce([frame[name] == value for name, value in where.items()])
    frame.loc[chosen, quantity] += np.broadcast_to(by, 32)[frame.loc[chosen, "draw"]]
    fig05._cells.cache_clear()


def draws(seed, size=32):
    return np.random.default_rng(seed).normal(size=size)


def test_growth_is_paired_within_networks(table):
    """What a draw has at both memories cancels, however large; the texts count as one."""
    shared, own = 2 * draws(0), 0.1 * draws(1)
    change(table, "lambda", shared, kind="crnn", layer=0)
    change(table, "lambda", 4 + own, kind="crnn", layer=0, time=100.0, source=TEXTS[0])
    change(table, "lambda", 5 + own, kind="crnn", layer=0, time=100.0, source=TEXTS[1])
    growth = fig05.growth("lambda", "crnn")
    assert growth.n == 32 and growth.value == pytest.approx(4.5 + np.median(own))
    assert 4.4 < growth.low < growth.value < growth.high < 4.6


def test_a_fall_counts_as_much_as_a_rise(table):
    """Independent of memory is meant in both directions."""
    change(table, "recurrent", -0.8, kind="gru", layer=0, time=100.0)
    assert claims.evaluate("fig05-gru-gradients-constant")["verdict"].item() == "fails"
    change(table, "recurrent", 0.8, kind="gru", layer=0, time=100.0)
    assert claims.evaluate("fig05-gru-gradients-constant")["verdict"].item() == "holds"


@pytest.mark.parametrize("kind", ["crnn", "lru", "gru"])
def test_an_effect_of_the_layer_is_told_from_a_large_unit_in_any_layer(table, kind):
    """In each network one block, which one is chance, is ten times the others, and all share a factor."""
    group = fig05._GROUPS[kind][0]
    large = np.random.default_rng(2).permutation(np.arange(32) % 4) + 1
    for block in fig13._BLOCKS:
        by = 2 * draws(3) + (large == block) + 0.05 * draws(block)
        change(table, group, by, kind=kind, layer=block, time=100.0)
    name = f"fig13-{kind}-gradients-by-layer"
    by_chance = claims.evaluate(name).iloc[0]
    assert fig13.widest_spread_of_a_network(kind).value > 0.9
    assert by_chance["measured"] < 0.3 and by_chance["verdict"] == "holds"
    change(table, group, -1.0, kind=kind, layer=3, time=100.0)
    assert claims.evaluate(name)["verdict"].item() == "fails"


def test_the_share_of_the_encoder_counts_entries(table):
    """A mean square that is equal everywhere: the share is that of the entries."""
    network = experiments.get("fig05_draws").network("gru", "none", 1.0, 384)
    sizes = {name: weight.numel() for name, weight in network.named_parameters() if ".layer." not in name}
    encoder = sum(size for name, size in sizes.items() if name.startswith("encoder"))
    assert fig05.share_of_encoder_in_gru().value == pytest.approx(encoder / sum(sizes.values()))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("fig05-next-or-previous-token", {"target": "next", "layer": 0}),
        ("fig05-texts-alike", {"source": TEXTS[1], "layer": 2}),
        ("fig05-gaussian-with-covariances", {"source": "matched", "layer": 4}),
    ],
)
def test_a_single_difference_between_inputs_or_losses_is_noticed(table, name, where):
    table[list(QUANTITIES)] += np.stack([draws(4)] * len(QUANTITIES), 1)[table["draw"]]
    assert claims.evaluate(name)["verdict"].item() == "holds"
    change(table, "theta", 0.5, kind="lru", time=10.0, **where)
    evaluated = claims.evaluate(name).iloc[0]
    assert abs(evaluated["measured"]) == pytest.approx(0.5) and evaluated["verdict"] == "fails"


def test_states_and_errors_offset_each_other_in_homogeneous_blocks(table):
    """States grow by a decade a block and errors fall by as much."""
    for block in (1, 2, 3, 4):
        change(table, "output", block, kind="crnn", layer=block, time=100.0)
        change(table, "error", -block, kind="crnn", layer=block, time=100.0)
    rows = claims.evaluate("fig13").set_index("name")
    measured = [rows["measured"][f"fig13-crnn-{what}"] for what in ("states-grow", "errors-grow", "offset")]
    assert measured == pytest.approx([3, 3, 0])
