"""Parametrisations of the angle: the maps and their inverses, exponents, and training against other implementations."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rnnlib import theory
from rnnlib.lab import angles, descent, exact
from rnnlib.lab.angles import ANGLES
from rnnlib.lab.claims.measures import load
from rnnlib.lab.experiments import angles as experiments
from rnnlib.lab.experiments.students import STUDENTS

NU, THETA = (torch.tensor(values, dtype=torch.float64) for values in ([0.9, 0.99, 0.3], [0.2, 2.9, 1.5]))


@pytest.mark.parametrize("name", ANGLES)
def test_raw_parameters_are_inverse(name):
    nu, theta = ANGLES[name].eigenvalue(torch.stack(ANGLES[name].raw(NU, THETA)))
    np.testing.assert_allclose(nu, NU, rtol=1e-9)
    np.testing.assert_allclose(theta, THETA, rtol=1e-9)


def test_the_loss_is_the_library_s():
    star = torch.polar(NU, THETA).flip(0)
    expected = theory.one_dimensional_loss(torch.polar(NU, THETA), star, normalized=True)
    np.testing.assert_allclose(angles.loss(NU, THETA, NU.flip(0), THETA.flip(0)), expected, atol=1e-14)


def test_expected_exponents_are_those_measured():
    table = angles.exponents()
    assert set(table["angle"]) == set(ANGLES) and len(table) > 40
    off = table[(table["measured"] - table["expected"]).abs() > 0.05]
    assert off.empty, off.to_string()


@pytest.mark.parametrize(
    ("name", "closed"),
    [(name, name) for name in ("polar", "exponential", "half-angle", "optimal", "cayley", "step", "rectangular")],
)
def test_curvatures_are_the_closed_forms(name, closed):
    found = angles.curvatures(name, 50.0, 0.8)
    along, through = theory.angle_curvature(closed, 1 - 1 / 50, 0.8)
    if name == "cayley":  # what b moves of the modulus
        along = along + math.sin(0.8) ** 2 / 4
    assert found["along"] == pytest.approx(along, rel=1e-6)
    assert found["through"] == pytest.approx(through, rel=1e-6, abs=1e-9)


def test_the_page_shows_the_table_as_it_is():
    def power(pair):
        factors = [f"{base}^{{{number}}}" for base, number in zip(("m", r"\theta"), pair, strict=True) if number]
        return f"${(chr(92) + ',').join(factors) or '1'}$"

    page = (Path(__file__).resolve().parents[2] / "notebooks/beyond/angles.py").read_text(encoding="utf-8")
    for entry in ANGLES.values():
        through = power(entry.through) if entry.through else "none"
        worst = f"$m^{entry.top}$" if entry.top else "$1$"
        row = f"# | {entry.label} | ${entry.formula}$ | {power(entry.along)} | {through} | {worst} |\n"
        assert row in page, row


def test_holding_the_modulus_leaves_what_the_paper_derives():
    """A diagonal of ones; and, for it is no derivative of a loss, one corner without the other: by differences of what
    the steps follow."""
    memory, angle, width = 200.0, 0.8, 1e-6
    H = angles.hessian("held", memory, angle)
    np.testing.assert_allclose([*np.diag(H), H[0, 1]], [1, 1, 0], atol=1e-9)
    star = torch.tensor(1 - 1 / memory).double(), torch.tensor(angle).double()
    raw = torch.stack(ANGLES["held"].raw(*star))
    slopes = []
    for step in (-width, width):
        moved = (raw + torch.tensor([step, 0.0])).requires_grad_(True)
        slopes.append(torch.autograd.grad(angles.loss(*ANGLES["held"].eigenvalue(moved), *star), moved)[0])
    np.testing.assert_allclose(H[:, 0], (slopes[1] - slopes[0]) / (2 * width), rtol=1e-4)
    assert abs(H[1, 0]) > 100
    np.testing.assert_allclose(angles.hessian("scaled", 200.0, 0.8), np.eye(2), atol=1e-9)


def test_an_oscillator_has_the_eigenvalues_of_its_implicit_step():
    """z' = z + dt (-A x - G z'), x' = x + dt z'."""
    raw = torch.tensor([0.3, 2.0, 0.4], dtype=torch.float64)
    dt, G, A = torch.sigmoid(raw[2]).item(), 0.3, 2.0
    M = np.array([[1 / (1 + dt * G), -dt * A / (1 + dt * G)], [dt / (1 + dt * G), 1 - dt**2 * A / (1 + dt * G)]])
    lam = next(value for value in np.linalg.eigvals(M) if value.imag > 0)
    nu, theta = ANGLES["oscillator"].eigenvalue(raw)
    assert (nu.item(), theta.item()) == pytest.approx((abs(lam), np.angle(lam)))


@pytest.mark.parametrize("name", ["polar", "exponential", "optimal", "held"])
def test_training_is_that_of_figure_7(name):
    """The trajectories of rnnlib.lab.descent, whose gradients are written out."""
    start, star, steps = 0.95 * np.exp(0.5j), 0.97 * np.exp(0.3j), 60
    found = angles.train(name, *(polar(z) for z in (start, star)), torch.tensor([1e-2]).double(), steps)
    kind = descent.ANGLES.index("optimal" if name == "held" else name)
    path = descent.trajectories(start, star, steps=steps, rate=1e-2, hold_modulus=name == "held")[:, kind, 1, 1]
    lam = descent.eigenvalues(descent.ANGLES[kind], *path.T)
    losses = theory.one_dimensional_loss(lam, star, normalized=True)
    assert found.first[0] == pytest.approx(losses[0])
    assert found.last[0] == pytest.approx(losses[54:60].max(), rel=1e-6)
    below = np.flatnonzero(losses <= 0.01 * losses[0])
    np.testing.assert_equal(found.reached[0], below[0] if len(below) and below[0] < steps else np.nan)


def polar(z):
    return torch.tensor([abs(z)]).double(), torch.tensor([np.angle(z)]).double()


def test_a_path_is_that_of_training():
    start, star = 0.95 * np.exp(0.5j), 0.97 * np.exp(0.3j)
    path = angles.path("rectangular", start, star, 0.1, 50)
    found = angles.train("rectangular", polar(start), polar(star), torch.tensor([0.1]).double(), 50)
    losses = angles.loss(*torch.tensor(path.T), *(value[0] for value in polar(star)))
    assert path[0] == pytest.approx((0.95, 0.5)) and found.last[0] == pytest.approx(float(losses[45:].max()))


def test_scaled_steps_turn_by_shares_of_the_width():
    """The first step of Adam has the length of the rate, here times the stretch."""
    nu, theta = polar(0.99 * np.exp(0.5j))
    found = angles.train("scaled", (nu, theta), polar(0.99 * np.exp(0.4j)), torch.tensor([1e-3]).double(), 2)
    stretch = angles.stretch(nu)
    moved = angles.loss((nu.atanh() - 1e-3).tanh(), theta - 1e-3 * stretch, *polar(0.99 * np.exp(0.4j)))
    assert found.last[0] == pytest.approx(moved.item(), rel=1e-6)


def test_a_run_that_is_lost_is_nan():
    start, star = ([value.expand(2) for value in polar(0.9 * np.exp(angle * 1j))] for angle in (0.5, 0.4))
    found = angles.train("step", start, star, torch.tensor([1e3, 1e-3]).double(), 20)
    assert np.isnan(found.last).tolist() == [True, False]


@pytest.mark.parametrize("name", [name for name in STUDENTS if name.startswith("lru_") and name != "lru_truncated"])
def test_students_with_other_angles_start_as_the_lru(name):
    """Same eigenvalues, maps and input scale, hence the same response; and they train in the stacked engine."""

    def make(student):
        return STUDENTS[student](8, 1, 0.9, math.pi, torch.Generator().manual_seed(0))

    student, lru = make(name).double(), make("lru").double()
    response, expected = (layer.impulse_response(40)[:, 0, 0] for layer in (student, lru))
    torch.testing.assert_close(response, expected, rtol=1e-4, atol=1e-5)  # drawn in float32
    stacked = exact.stack([student, make(name).double()])
    torch.testing.assert_close(exact.impulse_responses(stacked, 40)[0], response)


# Stored tables --------------------------------------------------------------------------------------------------------


def test_a_start_gets_the_rate_that_the_teacher_s_other_start_chooses(monkeypatch):
    """Two teachers of two starts at three rates: what is left, and steps; infinite where a run was lost."""
    left = np.array([[[[1.0, 0.2, 0.1], [0.3, 0.5, np.inf]], [[0.1, 0.1, 0.9], [np.inf, 0.004, 0.4]]]])
    steps = np.array([[[[np.inf, 7, 5], [9, np.inf, np.inf]], [[1, 2, 3], [np.inf, 4, np.inf]]]])
    experiment = replace(
        experiments.ONE_UNIT,
        angles=("polar",),
        memories=(100,),
        teacher_angles=(0.1,),
        rates=(1.0, 0.3, 0.1),
        teachers=2,
    )
    monkeypatch.setattr(experiments.OneUnit, "_train", lambda self, keys, rates: (left, steps))
    tables = experiment.measure("polar, memory 100", "cpu")
    assert [row[5:] for row in tables["runs"][1]] == [
        (1.0, 1.0, 1.0, -1),  # the other start is best at a rate of 1, in either sense
        (0.1, "", 0.1, -1),
        (0.3, 0.1, 0.3, 2),
        (0.3, 0.004, 1.0, -1),  # of equally good rates the smallest
    ]
    assert [row[3:6] for row in tables["rates"][1]] == [(1.0, 1, 0), (0.3, 0, 1), (0.1, 1, 0)]
    assert [row[6:] for row in tables["rates"][1]] == [(1.0, ""), (0.2, 0.5), (0.9, "")]
    schemas = experiment.schemas()
    for name, (columns, rows) in tables.items():
        frame = pd.read_csv(io.StringIO(pd.DataFrame(rows, columns=columns).to_csv(index=False)))
        assert schemas[name].problem(frame) is None


def test_fresh_teachers_are_trained_at_the_rates_that_the_first_ones_chose():
    """The smallest largest quantile .9 over angles, to the hundredth of a decade that its definition leaves open; of
    equal ones, and where nothing gets below the first loss, the smallest median."""
    rates = load("angles_one_unit", "rates")
    worst = rates.groupby(["angle", "memory", "rate"])[["tenth", "median"]].agg(lambda column: column.max(skipna=False))
    decades = np.log10(worst).fillna(np.inf)
    for name, memory, rate in experiments.FRESH.rates:
        own = decades.loc[(name, memory)]
        assert own["tenth"][rate] <= own["tenth"].min() + 0.01, (name, memory)
