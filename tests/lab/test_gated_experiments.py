"""The experiments of Figures 14 and 15 at a small size: what their tables hold, and that theory meets them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from rnnlib import ChronoGRU, theory
from rnnlib.lab import as_printed, experiments, rtrl, text
from rnnlib.lab.experiments import fig14, fig15


def small(name, **changes):
    return dataclasses.replace(experiments.get(name).at("smoke"), source="gaussian", **changes)


def frames(experiment, part):
    return {
        table: pd.DataFrame(rows, columns=columns) for table, (columns, rows) in experiment.measure(part, "cpu").items()
    }


def rms(values):
    return np.sqrt((np.asarray(values) ** 2).mean())


def test_jacobian_tables_hold_the_jacobian():
    tables = frames(small("fig14"), fig14.Setting("gru", 16.0).label)
    x = text.load("gaussian", 2, 24).x.double()
    layers = [
        ChronoGRU(384, 8, max_time=16.0, generator=torch.Generator().manual_seed(network)).double()
        for network in (0, 1)
    ]
    (J,) = rtrl.state_jacobian(layers, x[:, None], [24])
    J = J[:, 0].numpy()
    last = tables["runs"].query("t == 24").set_index("network")
    off = ~np.eye(8, dtype=bool)
    for network, layer in enumerate(layers):
        rows = {"off": range(8), "first_rows": range(4)}
        T = layer.gru.bias_ih_l0[8:16].detach().exp().numpy()
        rows["fast_off"], rows["slow_off"] = T.argsort()[:2], T.argsort()[-2:]
        expected = {name: rms([J[network, i, off[i]] for i in where]) for name, where in rows.items()}
        diagonal = J[network].diagonal()
        expected |= {"diagonal": rms(diagonal), "slow_diagonal": rms(diagonal[rows["slow_off"]])}
        expected |= {"change": rms(diagonal - (T / (1 + T)) ** 24), "off_largest": np.abs(J[network][off]).max()}
        expected |= {"diagonal_95": np.quantile(diagonal, 0.95)}
        for name, value in expected.items():
            assert last.loc[network, name] == pytest.approx(value, rel=1e-4), name
    for row in tables["entries"].query("t == 24").itertuples():
        assert row.value == pytest.approx(J[0].flat[row.place], rel=1e-4)


def test_constant_gates_leave_the_jacobian_exactly_diagonal():
    runs = frames(small("fig14"), fig14.Setting("gru", 16.0, 0.0, 0.0).label)["runs"]
    assert (runs[["off", "off_largest", "first_rows", "slow_off"]] == 0).all(axis=None)
    assert (runs["diagonal"] > 0).all()
    np.testing.assert_allclose(runs["change"], 0, atol=1e-15)


def test_settings_with_the_same_range_begin_with_the_same_gates():
    """Claims pair gates that move with constant ones, network by network."""

    def gates(cell, **scales):
        layer = fig14.CELLS[cell](6, 8, max_time=16.0, generator=torch.Generator().manual_seed(1), **scales)
        return fig14.start_of_gates(layer)

    constant = gates("gru", weight_scale=0.0, recurrent_scale=0.0)
    assert np.ptp(constant) > 0.05
    for cell, scale in [("gru", 3.0), ("lstm", 1.0), ("mingru", 1.0)]:
        np.testing.assert_array_equal(gates(cell, recurrent_scale=scale), constant)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_theory_meets_constant_gates(cell):
    """Random input weights are the only expectation: many units, one sequence, its own moments."""
    experiment = small("fig15", cells=((cell, "constant"),), networks=1, lstms=1, width=3000, length=30, bins=2)
    x = text.load("gaussian", 1, 30).x.double().numpy()[0, ::-1]
    moments = x @ x.T / x.shape[1]
    response = theory.gated_response if cell == "gru" else theory.lstm_response
    table = frames(experiment, f"{cell}, constant")["runs"]
    row = table.query("units > 2000").iloc[0]
    T = np.linspace(row["low"], row["high"], 402)[1::2]  # midpoints: T is uniform
    state, own = (theory.window_moment(w, moments) for w in response(T / (1 + T), 30))
    for measured, expected in [(row["h2"], state), (row["s2"], own)]:
        spread = (3 * (expected**2).mean() - expected.mean() ** 2) ** 0.5  # of a squared Gaussian, over T as well
        assert measured == pytest.approx(expected.mean(), abs=4 * spread / row["units"] ** 0.5)


def test_bins_and_samples_come_from_all_units():
    experiment = small("fig15")
    tables = frames(experiment, "gru, state")
    runs = tables["runs"]
    assert (runs.groupby("network")["units"].sum() == 8).all() and set(runs["network"]) == {0, 1}
    assert len(tables["units"]) == 16 and len(tables["smoothed"]) == 60
    mean = (runs["h2"] * runs["units"]).sum() / 16
    assert mean == pytest.approx(tables["units"]["h2"].mean(), rel=1e-3)


def test_means_over_networks_are_those_over_units_and_their_intervals_cover():
    """Units of a network share a factor, as they share a sequence: intervals as if units were independent would miss
    the mean most of the time."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        units = generator.integers(1, 20, 60)
        common = generator.exponential(size=60)
        h2 = [common[n] * generator.exponential(size=units[n]).mean() for n in range(60)]
        frame = pd.DataFrame({"network": range(60), "units": units, "low": 1.0, "T": 1.5, "h2": h2})
        means = fig15.over_networks(frame, "h2", 300)
        assert means.value[0] == pytest.approx(np.average(h2, weights=units)) and means.T[0] == pytest.approx(1.5)
        low, high = np.percentile(means.drawn, [2.5, 97.5])
        covered += low < 1 < high
    assert 170 <= covered <= 198


def test_inputs_of_figure_15_are_measured():
    tables = frames(small("fig15", networks=300), fig15.INPUTS)
    R = tables["inputs"]["autocorrelation"].to_numpy()
    np.testing.assert_allclose(R, text.PAPER(np.arange(24)), atol=2e-3)
    lam = tables["moments"]["T"] / (1 + tables["moments"]["T"])
    for name, weights in [("h2", theory.gated_response(lam, 24)[0]), ("gru_s2", theory.gated_response(lam, 24)[1])]:
        np.testing.assert_allclose(tables["moments"][name], theory.window_moment(weights, R), rtol=0.05)


def test_numbers_that_the_errata_page_quotes_for_erratum_8(root):
    row = experiments.load("fig12", "fits").query("source == 'wikipedia' and positions and not padding").iloc[0]
    fit = text.Autocorrelation(row["white"], row["amplitude"], row["decay"])
    T = np.array([2, 10, 256])

    def infinite(moment):
        return fit.white * moment(T / (1 + T), 0.0) + fit.amplitude * moment(T / (1 + T), fit.decay)

    plotted, right = infinite(as_printed.gated_sensitivity), infinite(theory.gated_sensitivity)
    window = theory.window_moment(theory.gated_response(T / (1 + T), 512)[1], fit(np.arange(512)))
    quoted = [*(plotted / right), window[-1] / right[-1]]
    errata = (root / "book" / "errata-in-full.md").read_text(encoding="utf-8")
    item = errata.partition("(erratum-8)=")[2].partition("(erratum-")[0]
    for number in quoted:
        assert f"{number:.2f}".lstrip("0") in item
