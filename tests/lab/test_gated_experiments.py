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


def test_jacobian_tables_hold_the_jacobian():
    experiment = small("fig14")
    tables = frames(experiment, fig14.Setting("gru", 16.0).label)
    x = text.load("gaussian", 2, 24).x.double()
    layers = [
        ChronoGRU(384, 8, max_time=16.0, generator=torch.Generator().manual_seed(network)).double()
        for network in (0, 1)
    ]
    (J,) = rtrl.state_jacobian(layers, x[:, None], [24])
    J = J[:, 0].numpy()
    last = tables["runs"].query("t == 24").set_index(["network", "kind"])["rms"]
    off = ~np.eye(8, dtype=bool)
    first = off & (np.arange(8) < 4)[:, None]
    for network in (0, 1):
        for kind, where in [("diagonal", ~off), ("off-diagonal", off), ("first rows", first)]:
            assert last[network, kind] == pytest.approx(np.sqrt((J[network][where] ** 2).mean()), rel=1e-5)
    for row in tables["entries"].query("t == 24").itertuples():
        assert row.value == pytest.approx(J[0].flat[row.place], rel=1e-5)


def test_constant_gates_leave_the_jacobian_exactly_diagonal():
    runs = frames(small("fig14"), fig14.Setting("gru", 16.0, 0.0, 0.0).label)["runs"]
    assert (runs.query("kind != 'diagonal'")["largest"] == 0).all()
    assert (runs.query("kind == 'diagonal'")["rms"] > 0).all()


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
    assert tables["runs"]["units"].sum() == 16
    assert len(tables["units"]) == 16 and len(tables["smoothed"]) == 60
    mean = (tables["runs"]["h2"] * tables["runs"]["units"]).sum() / 16
    assert mean == pytest.approx(tables["units"]["h2"].mean(), rel=1e-3)


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
    errata = (root / "book" / "errata.md").read_text(encoding="utf-8")
    row = next(line for line in errata.splitlines() if line.startswith("| 8 |"))
    for number in quoted:
        assert f"{number:.2f}".lstrip("0") in row
