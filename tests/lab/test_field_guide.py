"""The field guide: expected exponents against measured ones, units against other implementations, what rows advise."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import cont2discrete

from rnnlib import theory
from rnnlib.lab import claims, field_guide
from rnnlib.lab.field_guide import exponents, units

NAMES = [model.name for model in field_guide.MODELS]
STILL = torch.zeros((), dtype=torch.float64)


@pytest.fixture(scope="module")
def measured():
    return exponents.table(field_guide.MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_expected_exponents_are_those_measured(measured, name):
    rows = measured.query("model == @name")
    assert len(rows) >= 6
    off = rows.assign(off=(rows["measured"] - rows["expected"]).abs()).query("not off < 0.1")
    assert off.empty, off.to_string()


def test_there_are_enough_rows_and_sources():
    models = " ".join(NAMES)
    for word in [
        "complex RNN",
        "LRU",
        "S4D",
        "S5",
        "Mamba-1",
        "Mamba-2",
        "Mamba-3",
        "RG-LRU",
        "minGRU",
        "minLSTM",
        "GRU,",
    ]:
        assert word in models
    for word in ["LSTM,", "HGRN", "GLA", "xLSTM", "LinOSS", "Cayley", "BD-LRU"]:
        assert word in models
    assert len(set(NAMES)) == len(NAMES) >= 16
    assert sum("unsourced" not in model.source for model in field_guide.MODELS) >= 14


def test_a_row_is_found_by_its_name():
    assert field_guide.get("S5").unit is units.s5
    with pytest.raises(KeyError, match="no model 'S6'; choose from complex RNN, LRU"):
        field_guide.get("S6")


@pytest.mark.parametrize(
    ("curvature", "expected"),
    [
        ({"modulus": 0, "angle": 0.05}, "tamed"),
        ({"modulus": -2}, "tamed"),
        ({"modulus": 0, "angle": 2}, "tamed for the modulus alone"),
        ({"modulus": 2, "angle": 0}, "cursed"),
        ({"angle": 2}, "cursed"),
    ],
)
def test_verdicts(curvature, expected):
    assert field_guide.verdict(curvature) == expected


def as_cell(formula: str) -> str:
    """A formula that may break where it has a comma or words: they are outside of what cannot."""
    apart = re.sub(r"\s*\\text\{([^}]*)\}\s*", r"$\1$", f"${formula}$".replace(r",\ ", "$, $"))
    return apart.replace("$$", "")


def test_the_page_shows_the_rows_as_they_are():
    page = (Path(__file__).resolve().parents[2] / "notebooks/beyond/field-guide.py").read_text(encoding="utf-8")
    for model in field_guide.MODELS:
        row = f"# | {model.name} | {as_cell(model.eigenvalue)} | {as_cell(model.scale)} | {model.verdict} |\n"
        details = f"# | {model.name} | {model.memory} | {model.because} | {model.mend} | {model.source} |\n"
        assert row in page and details in page, row + details
        assert row.count("|") == 5 and details.count("|") == 6, "a bar in a cell ends it"
    table = [line for line in page.splitlines() if line.startswith("# | ") and "---" not in line]
    assert len(table) == 2 * (len(field_guide.MODELS) + 1)


def test_each_line_of_the_checklist_has_a_claim_that_holds():
    page = (Path(__file__).resolve().parents[2] / "notebooks/beyond/field-guide.py").read_text(encoding="utf-8")
    section = re.search(r"# ## A designer's checklist\n(.*?)\n# ## ", page, re.DOTALL)[1]
    lines = re.split(r"\n# (?=\d+\. )", section)[1:]
    assert 1 <= len(lines) <= 10
    named = [re.findall(r"`(beyond-[a-z0-9-]+)`", line) for line in lines]
    assert all(named), named
    names = [name for line in named for name in line]
    assert set(claims.evaluate(*names)["verdict"]) == {"holds"}
    of_lines = {name for name in (claim.name for claim in claims.CLAIMS) if re.match(r"beyond-guide-\d", name)}
    assert len(names) == len(set(names)) and of_lines <= set(names)
    parts = {name.split("-")[1] for name in names}
    assert parts == {"guide", "angles", "bits", "inputs", "poles"}, "a page beyond the paper that nobody takes home"


# How things are measured ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_still_moments_are_the_closed_forms(rho):
    memory = 50.0
    found = exponents.still_moments(field_guide.get("complex RNN"), memory, rho)
    lam = (1 - 1 / memory) * np.exp(1j)
    assert found["state"] == pytest.approx(theory.state_variance(lam, rho))
    assert found["modulus"] == pytest.approx(theory.sensitivity(lam, rho))
    assert found["angle"] == pytest.approx(abs(lam) ** 2 * theory.sensitivity(lam, rho))
    found = exponents.still_moments(field_guide.get("GRU, Chrono start"), memory, rho)
    expected = theory.gated_state_variance(abs(lam), rho), theory.gated_sensitivity(abs(lam), rho)
    assert (found["state"], found["modulus"]) == pytest.approx(expected)


def test_what_is_held_constant_gets_no_derivative():
    """The LRU's scale is a parameter of its own: one half at long memory; with a scale that follows it would be 1/4."""
    assert exponents.still_moments(field_guide.get("LRU"), 1e3)["modulus"] == pytest.approx(0.5, rel=1e-2)


@pytest.mark.parametrize("name", ["S4D, memory from A", "LinOSS-IM", "Mamba-3, memory from A, heavy tail"])
def test_curvature_is_the_sensitivity_of_an_output_of_variance_1(name):
    model = field_guide.get(name)
    moments = exponents.still_moments(model, 60.0, 0.9)
    for direction, value in exponents.curvature(model, 60.0, 0.9).items():
        assert value == pytest.approx(moments[direction] / moments["state"], rel=1e-6)


@pytest.mark.parametrize("name", ["Mamba-1", "RG-LRU (Griffin)", "HGRN", "GRU, Chrono start"])
def test_layers_with_moving_gates_have_the_moments(name):
    """By running the layer on noise, states and derivatives."""
    model, memory = field_guide.get(name), 15.0
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 400_000, generator=generator, dtype=torch.float64)
    raw = {key: torch.tensor(value, dtype=torch.float64) for key, value in model.start(memory).items()}
    found = exponents.moving_moments(model, memory)
    for direction in model.sensitivity:

        def states(value, direction=direction):
            return field_guide.respond(model.unit, raw | {direction: value}, x, math.sqrt(model.noise) * noise)

        h, dh = torch.func.jvp(states, (raw[direction],), (torch.ones_like(raw[direction]),))
        assert h.abs().square().mean().item() == pytest.approx(found["state"], rel=0.05)
        assert dh.abs().square().mean().item() == pytest.approx(found[direction], rel=0.05)


def test_moments_on_text_are_those_of_its_autocorrelation():
    model, memory = field_guide.get("complex RNN"), 20.0
    R = exponents.text.PAPER(np.arange(1500))
    lam = (1 - 1 / memory) * np.exp(1j)
    expected = theory.generating_function_of(R / R[0], lam, lam.conj()).real
    assert exponents.text_moments(model, memory)["state"] == pytest.approx(expected)


def test_slow_inputs_raise_the_powers_of_real_eigenvalues_alone():
    """Between 30 and 300 steps, within the correlation time of text; what the page and its checklist say."""

    def of(name):
        return exponents.exponent(lambda memory: exponents.text_moments(field_guide.get(name), memory), (30, 300))

    assert of("RG-LRU (Griffin)") == pytest.approx({"state": 0.7, "modulus": 0.7, "step": 0.7}, abs=0.1)
    assert of("minGRU")["state"] == pytest.approx(-0.3, abs=0.1)
    for name in ("LRU", "complex RNN", "HGRN"):
        assert of(name)["state"] == pytest.approx(field_guide.get(name).state, abs=0.1)


def test_an_exponent_of_zeros_is_unknown():
    assert math.isnan(exponents.exponent(lambda memory: {"angle": 0.0})["angle"])
    assert exponents.exponent(lambda memory: {"state": 3 * memory**-2.5})["state"] == pytest.approx(-2.5)


# Units against other implementations ----------------------------------------------------------------------------------


def outputs(name, x, noise=STILL, memory=12.0):
    model = field_guide.get(name)
    raw = {key: torch.tensor(value, dtype=torch.float64) for key, value in model.start(memory).items()}
    return raw, field_guide.respond(model.unit, raw, x, noise, model.readout)


@pytest.fixture
def x():
    return torch.randn(40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.fixture
def noise():
    return torch.randn(40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.mark.parametrize("name", ["S4D, memory from A", "S5"])
def test_zero_order_hold_is_scipys(name, x):
    raw, y = outputs(name, x)
    real = raw["modulus"].item() if name == "S5" else -raw["modulus"].exp().item()
    A = np.array([[real, -raw["angle"].item()], [raw["angle"].item(), real]])
    step, B, *_ = cont2discrete((A, np.eye(2)[:, :1], np.eye(2), np.zeros((2, 1))), raw["step"].exp().item())
    state, expected = np.zeros(2), []
    for value in x.tolist():
        state = step @ state + B[:, 0] * value
        expected.append(complex(*state))
    np.testing.assert_allclose(y, expected)


def test_linoss_is_its_implicit_scheme(x):
    """z' = z + dt (-A y' + x), y' = y + dt z', solved for each step."""
    raw, found = outputs("LinOSS-IM", x)
    A, dt = raw["modulus"].item(), torch.sigmoid(raw["step"]).item()
    y = z = 0.0
    for value, expected in zip(x.tolist(), found.tolist(), strict=True):
        z, y = np.linalg.solve([[1, dt * A], [-dt, 1]], [z + dt * value, y])
        assert y == pytest.approx(expected)


def test_cayley_is_the_orthogonal_matrix_of_a_skew_symmetric_one(x):
    raw, found = outputs("scoRNN (Cayley, orthogonal)", x)
    A = np.array([[0, raw["angle"].item()], [-raw["angle"].item(), 0]])
    W = np.linalg.solve(np.eye(2) + A, np.eye(2) - A)
    state = np.zeros(2)
    for value, expected in zip(x.tolist(), found.tolist(), strict=True):
        state = W @ state + [value, 0]
        assert complex(*state) == pytest.approx(expected)


def test_mamba_3_is_the_trapezoid_rule(x, noise):
    name = "Mamba-3, memory from A, softplus"
    raw, found = outputs(name, x, noise)
    step, h, before = math.log1p(raw["step"].exp().item()), 0.0, 0.0
    for value, g, expected in zip(x.tolist(), noise.tolist(), found.tolist(), strict=True):
        A = math.log1p(math.exp(raw["modulus"].item() + g))
        alpha = np.exp(step * (-A + 1j * math.pi * math.tanh(raw["angle"].item())))
        h = alpha * h + step / 2 * alpha * before + step / 2 * value
        before = value
        assert h == pytest.approx(expected)


def test_slstm_is_settled_cell_over_normalizer(x):
    """After 2,000 steps of the same gates, with an exponential input gate that cancels."""
    raw, _ = outputs("sLSTM (xLSTM)", x)
    f, i = torch.sigmoid(raw["modulus"]).item(), math.exp(0.7)
    c, n, states = 0.0, 0.0, []
    for value in [0.0] * 2000 + x.tolist():
        c, n = f * c + i * value, f * n + i
        states.append(c / n)
    np.testing.assert_allclose(outputs("sLSTM (xLSTM)", x)[1], states[2000:])


def test_min_lstm_normalizes_its_gates(x, noise):
    raw, found = outputs("minLSTM", x, noise)
    h, i = 0.0, torch.sigmoid(raw["step"]).item()
    for value, g, expected in zip(x.tolist(), noise.tolist(), found.tolist(), strict=True):
        f = 1 / (1 + math.exp(-raw["modulus"].item() - g))
        h = f / (f + i) * h + i / (f + i) * value
        assert h == pytest.approx(expected)


def test_bd_lru_is_a_circulant_block_whose_rows_sum_to_one_with_the_input_gate(x):
    """One Fourier mode of the three states, where the input enters the first."""
    raw, found = outputs("BD-LRU, a block of three", x)
    raw["angle"] += 0.4  # so that there is a rotation
    found = field_guide.respond(units.bd_lru, raw, x, STILL)
    weights = np.exp([raw["modulus"].item(), raw["angle"].item(), 0, 0])
    p, q, r, scale = weights / weights.sum()
    block, state = np.array([[p, q, r], [r, p, q], [q, r, p]]), np.zeros(3)
    for value, expected in zip(x.tolist(), found.tolist(), strict=True):
        state = block @ state + [scale * value, 0, 0]
        assert state @ np.exp(-2j * np.pi * np.arange(3) / 3) == pytest.approx(expected)
    assert abs(found[-1].imag) > 1e-3


# What rows say and advise ---------------------------------------------------------------------------------------------


def exponents_of(model, **changes):
    model = dataclasses.replace(model, **changes)
    return exponents.exponent(lambda memory: exponents.curvature(model, memory), (100, 1000))


def test_an_angle_times_the_distance_to_the_circle_is_tame():
    """What the rows of the LRU and of HGRN advise."""

    def times_step(raw, noise):
        lam, scale = units.hgrn(raw, noise)
        modulus = lam.abs()
        return units.turned(modulus, raw["angle"] * (1 - modulus.detach())), scale

    assert exponents_of(field_guide.get("HGRN"), unit=times_step)["angle"] == pytest.approx(0, abs=0.1)


def test_a_logarithm_leaves_linoss_one_power():
    def logarithmic(raw, noise):
        return units.linoss(raw | {"modulus": raw["modulus"].exp()}, noise)

    def position(raw, h, x):
        return units.linoss_position(raw | {"modulus": raw["modulus"].exp()}, h, x)

    model = field_guide.get("LinOSS-IM")
    found = exponents_of(
        model,
        unit=logarithmic,
        readout=position,
        start=lambda memory: {"modulus": math.log(model.start(memory)["modulus"]), "step": 0.0},
    )
    assert found["modulus"] == pytest.approx(1, abs=0.1)


def test_an_input_scale_tames_gla():
    def scaled(raw, noise):
        lam, _ = units.gla(raw, noise)
        return lam, 1 - lam

    found = exponents.exponent(
        lambda memory: exponents.still_moments(dataclasses.replace(field_guide.get("GLA"), unit=scaled), memory)
    )
    assert found == pytest.approx({"state": -1, "modulus": -1}, abs=0.1)


def test_a_forget_gate_alone_gives_a_min_lstm_no_long_memory():
    raw = {"modulus": torch.tensor(30.0), "step": torch.tensor(0.0)}
    assert 1 / (1 - units.min_lstm(raw, torch.tensor(0.0))[0]) == pytest.approx(3)


def test_the_step_of_s4d_has_a_constant_that_grows_as_the_square_of_the_frequency():
    def at(frequency):
        model = field_guide.get("S4D, memory from the step")

        def start(memory):
            return model.start(memory) | {"angle": frequency * math.pi}

        return exponents.curvature(dataclasses.replace(model, start=start), 1000.0)["step"]

    assert at(16) / at(4) == pytest.approx(16, rel=0.05)


def test_bd_lru_remembers_long_near_roots_of_unity_alone():
    """Rows of positive weights that sum to 1 with the input gate: blocks of two do not rotate, those of three remember
    no more than two steps and a half at an angle of half a radian."""
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20_000, 3, 4, generator=generator, dtype=torch.float64)
    assert torch.linalg.eigvals(logits[:, :2, :3].softmax(-1)[..., :2]).imag.abs().max() < 1e-7
    lam = torch.linalg.eigvals(logits.softmax(-1)[..., :3]).flatten()
    fixed = lam[(lam.angle().abs() - 0.5).abs() < 0.05]
    assert len(fixed) > 20 and 1 / (1 - fixed.abs().max()) < 2.7
    turned, _ = units.bd_lru({"modulus": torch.tensor(0.0), "angle": torch.tensor(8.0)}, STILL)
    assert turned.angle() == pytest.approx(2 * math.pi / 3, abs=1e-3) and 1 / (1 - turned.abs()) > 500


def test_how_far_a_raw_step_carries_mamba_3s_memory():
    """The change of June 2026. One unit further down, softplus multiplies a long memory by e; the heavy tail adds
    1 / step to it. So a memory of 10,000 lies 7 units below 0 with the one and 1,000 with the other."""
    for name, distance, factor in [
        ("Mamba-3, memory from A, softplus", -6.9, math.e),
        ("Mamba-3, memory from A, heavy tail", -999, 1.001),
    ]:
        model = field_guide.get(name)
        raw = {key: torch.tensor(value, dtype=torch.float64) for key, value in model.start(1e4).items()}
        assert raw["modulus"].item() == pytest.approx(distance, rel=0.01)
        further = raw | {"modulus": raw["modulus"] - 1}
        memories = [1 / (1 - model.unit(values, STILL)[0].abs()).item() for values in (raw, further)]
        assert memories[1] / memories[0] == pytest.approx(factor, rel=1e-3)
