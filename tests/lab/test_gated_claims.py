"""Measures of the claims of Figures 14 and 15, on made-up results whose numbers are known."""

import functools

import numpy as np
import pandas as pd
import pytest

from rnnlib import theory
from rnnlib.lab import claims
from rnnlib.lab.claims import fig14, fig15

NETWORKS, WIDTH = 8, 17
T = np.array([1, 2, 5, 10, 20, 50])


def decaying(setting, time_constant, coupling):
    """Jacobians whose diagonal decays with a time constant, beside which the rest is ``coupling`` times as large."""
    cell, max_time, input_scale, recurrent_scale = setting
    rows = pd.DataFrame([(t, network) for t in T for network in range(NETWORKS)], columns=["t", "network"])
    diagonal = np.exp(-rows["t"] / time_constant)
    columns = {"cell": cell, "max_time": max_time, "input_scale": input_scale, "recurrent_scale": recurrent_scale}
    for units in ("", "fast_", "slow_"):
        columns |= {f"{units}diagonal": diagonal, f"{units}off": coupling * diagonal}
    return rows.assign(**columns, off_largest=coupling, change=0.0)


@pytest.fixture
def jacobians(monkeypatch):
    """Stores made-up settings, and leaves it to the test to ask for claims."""

    def store(*frames):
        frame = pd.concat(frames)
        frame.attrs["definition"] = {"width": WIDTH}
        monkeypatch.setattr(fig14, "load", lambda name, table="runs": frame)

    return store


def test_the_step_at_which_the_diagonal_has_decayed_to_1_over_e(jacobians):
    jacobians(decaying(("gru", 16, 1, 1), 7.3, 0.01), decaying(("gru", 16, 0, 0), 14.6, 0.0))
    assert fig14._time_constants((16, 1, 1)) == pytest.approx([7.3] * NETWORKS)
    assert fig14._change_of_decay(16) == pytest.approx([np.log10(2)] * NETWORKS)
    jacobians(decaying(("gru", 16, 1, 1), 51, 0.0))
    assert np.isinf(fig14._time_constants((16, 1, 1))).all()


def test_entries_are_compared_before_the_jacobian_has_decayed(jacobians):
    frame = decaying(("gru", 16, 1, 1), 10, 0.05)
    late = frame["t"] == 50  # little is left, however large it is beside what is left of the diagonal
    frame.loc[late, "off"] = frame.loc[late, "diagonal"]
    jacobians(frame)
    assert fig14._off_over_diagonal((16, 1, 1)) == pytest.approx([0.05] * NETWORKS)
    frame.loc[late, "off"] = 0.2  # 16 entries of .2 are no little
    jacobians(frame)
    assert (fig14._off_over_diagonal((16, 1, 1)) > 1).all()


@pytest.mark.parametrize(("growth", "verdict"), [(2, "holds"), (0.5, "fails")])
def test_an_explosion_is_a_growth_of_the_norm_by_a_factor_of_ten(jacobians, growth, verdict):
    frame = decaying(("gru", 16, 1, 3), 10, 0)
    frame["off"] = 10 ** (growth * frame["t"] / 50) / (WIDTH - 1) ** 0.5
    jacobians(frame)
    (row,) = claims.evaluate("fig14-strength-3-explodes").itertuples()
    assert row.measured == pytest.approx(growth, abs=0.01) and row.verdict == verdict and row.n == NETWORKS


@pytest.fixture
def moments(monkeypatch):
    """Stores made-up networks: theory, times a factor of each kind of gates, times noise of each network."""

    def store(**factors):
        generator, R = np.random.default_rng(0), 0.9 ** np.arange(64)
        rows = []
        for gates, factor in factors.items():
            for network in range(300):
                for low in 2.0 ** np.arange(8):
                    weights = theory.gated_response(1.4 * low / (1 + 1.4 * low), len(R))
                    h2, s2 = (theory.window_moment(w, R) * factor * generator.gamma(20) / 20 for w in weights)
                    rows.append(("gru", gates, network, 5, low, 2 * low, 1.4 * low, h2, s2))
        columns = ["cell", "gates", "network", "units", "low", "high", "T", "h2", "s2"]
        tables = {"runs": pd.DataFrame(rows, columns=columns), "inputs": pd.DataFrame({"autocorrelation": R})}
        monkeypatch.setattr(fig15, "load", lambda name, table="runs": tables[table])
        monkeypatch.setattr(fig15, "_means", functools.cache(fig15._means.__wrapped__))

    return store


def test_means_are_compared_with_theory(moments):
    moments(constant=1.1, input=0.7, state=1.6)
    frame = claims.evaluate("fig15-constant-gates", "fig15-input-gates", "fig15-state-gates").set_index("name")
    assert frame["measured"].to_numpy() == pytest.approx([0.1, 0.3, 0.6], abs=0.05)
    assert list(frame["verdict"]) == ["holds", "holds", "fails"]
    better, context = claims.evaluate("fig15-constant-gates-match-better", "fig15-ignoring-context").itertuples()
    assert better.measured == pytest.approx(np.log10(1.6 / 1.1), abs=0.03) and better.verdict == "holds"
    assert context.measured == pytest.approx(np.log10(1.6 / 1.1), abs=0.05) and context.verdict == "holds"


def test_means_over_time_constants_are_compared_with_each_other(moments):
    moments(constant=1.0, input=1.0, state=1.0)
    low = 2.0 ** np.arange(8) * 1.4
    h2 = theory.window_moment(theory.gated_response(low / (1 + low), 64)[0], 0.9 ** np.arange(64))
    (row,) = claims.evaluate("fig15-state-over-time-constants").itertuples()
    assert row.measured == pytest.approx(np.log10(h2.max() / h2.min()), abs=0.05)
    assert row.low < row.measured < row.high
