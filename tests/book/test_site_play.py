"""The charts to play with, in headless Chromium: at several positions of their sliders, the numbers that the page shows
are those of rnnlib.theory and of PyTorch's optimisers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from browsing import Visit
from references import torch_eigenvalues, torch_path

from rnnlib import theory
from rnnlib.lab import field_guide
from rnnlib.lab.interactive.models import MODELS

SET = """async (values) => {
  const place = document.querySelector(".play");
  for (const [name, value] of Object.entries(values)) {
    const choice = place.querySelector(`select[name="${name}"]`);
    if (choice) {
      choice.value = value;
      choice.dispatchEvent(new Event("change"));
      continue;
    }
    const inputs = [...place.querySelectorAll("input")].filter((input) => input.name === name);
    const input = inputs.find((one) => one.type !== "radio" || one.value === value);
    if (input.type === "range") input.value = value;
    else input.checked = value !== false;
    input.dispatchEvent(new Event(input.type === "range" ? "input" : "change"));
  }
  await place.view.runAsync();
  const names = Object.keys(place.view.getState({ data: () => true, signals: () => false }).data);
  const tables = names.map((name) => place.view.data(name)).filter((d) => d && d.length && !("mark" in d[0]));
  const rows = (field) => tables.filter((d) => field in d[0]).map((d) => d.map((row) => ({ ...row })));
  return { readout: place.querySelector(".play-readout").textContent, rows: %s };
}"""


INK = """() => {
  const colors = new Set();
  const walk = (mark) => (mark.items || []).forEach((item) => {
    if (mark.marktype === "text") colors.add(item.fill);
    (item.items || []).forEach(walk);
  });
  walk(document.querySelector(".play").view.scenegraph().root);
  return [...colors];
}"""


@pytest.fixture(scope="module")
def play(browser, address):
    """Opens a page to play with: anew, or as an earlier test left it, which is for tests that set all its controls."""
    opened = {}

    def open_(page: str, anew: bool = True):
        if anew or page not in opened:
            reader = Visit(browser, address)
            reader.open(f"notebooks/play/{page}.html").wait_for_function("document.querySelector('.play').view")
            if page in opened:
                opened[page].context.close()
            opened[page] = reader
        return opened[page], opened[page].tab

    yield open_
    for reader in opened.values():
        reader.context.close()


def numbers(text: str) -> list[float]:
    """Numbers of a readout; Vega writes a true minus sign and SI prefixes."""
    scale = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3}
    text = text.replace("−", "-")
    return [float(n) * scale[s] for n, s in re.findall(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)([kMGm]?)(?![\w²])", text)]


def curvature(along: str, k: int, nu: float, theta: float, rho: float, normalized: bool) -> float:
    """Second derivative over the raw parameter by autodiff, through theory.one_dimensional_loss."""
    star = torch.polar(torch.tensor(nu).double(), torch.tensor(theta).double())
    stretch = (1 - nu**2) / (nu * (1 + nu**2) ** 0.5)
    ways = {
        "modulus": [lambda w: w, lambda w: torch.exp(-torch.exp(w)), torch.tanh],
        "angle": [lambda w: w, torch.exp, lambda w: w * stretch],
    }
    optima = {
        "modulus": [nu, np.log(-np.log(nu)), np.arctanh(nu)],
        "angle": [theta, np.log(theta) if theta else None, theta / stretch],  # an angle of 0 has no logarithm
    }

    def loss(w):
        raw = ways[along][k](w)
        modulus, angle = (raw, star.angle()) if along == "modulus" else (star.abs(), raw)
        return theory.one_dimensional_loss(torch.polar(modulus, angle), star, rho, normalized=normalized)

    return torch.func.hessian(loss)(torch.tensor(optima[along][k]).double()).item()


@pytest.mark.parametrize(
    "at",
    [
        {"memory": 0.5, "rho": 0, "normalized": False, "along": "modulus", "angle": 0.01},
        {"memory": 2, "rho": 0, "normalized": True, "along": "modulus", "angle": 0.2},
        {"memory": 1.5, "rho": 0.9, "normalized": True, "along": "modulus", "angle": 0.05},
        {"memory": 1, "rho": 0.5, "normalized": False, "along": "angle", "angle": 0.3},
        {"memory": 2.5, "rho": 0, "normalized": True, "along": "angle", "angle": 0.01},
        {"memory": 2, "rho": 0.999, "normalized": False, "along": "modulus", "angle": 0},
    ],
)
def test_landscape_shows_the_closed_forms(play, at):
    reader, tab = play("01-landscape", anew=False)
    script = SET % "{here: rows('curvature').flat().filter((d) => d.last), losses: rows('loss').flat()}"
    found = tab.evaluate(script, at)
    nu, theta = 1 - 10 ** -at["memory"], np.pi * at["angle"]
    star = nu * np.exp(1j * theta)
    expected = [curvature(at["along"], k, nu, theta, at["rho"], at["normalized"]) for k in range(3)]
    shown = {row["k"]: row["curvature"] for row in found["rows"]["here"]}
    assert [shown[k] for k in range(3)] == pytest.approx(expected, rel=1e-4)  # rounding of autodiff
    assert numbers(found["readout"])[-3:] == pytest.approx(expected, rel=6e-3)

    rows = found["rows"]["losses"]
    assert len(rows) > 600
    lam = np.array([row["nu"] * np.exp(1j * row["theta"]) for row in rows])
    losses = theory.one_dimensional_loss(lam, star, at["rho"], normalized=at["normalized"])
    close = 1e-12 * losses.max()  # rounding of the terms that cancel at the optimum
    np.testing.assert_allclose([row["loss"] for row in rows], losses, rtol=1e-6, atol=close + 1e-9)
    # The raw parameter is where its parametrisation says: x from the optimum.
    stretch = (1 - nu**2) / (nu * (1 + nu**2) ** 0.5)
    for row in rows[::20]:
        x, k = row["x"], row["k"]
        if at["along"] == "modulus":
            goal = [nu + x, np.exp(-np.exp(np.log(-np.log(nu)) + x)), np.tanh(np.arctanh(nu) + x)][k]
            assert row["nu"] == pytest.approx(goal)
        else:
            goal = [theta + x, np.exp(np.log(theta) + x), theta + x * stretch][k]
            assert row["theta"] == pytest.approx(goal)
    reader.must_be_flawless()


def test_at_the_angle_0_curves_grow_until_the_inputs_correlation_time(play):
    """What the page says of rho = .999 with scaled inputs; and what is undefined at the angle 0 is not drawn."""
    reader, tab = play("01-landscape")
    assert tab.locator("input[name=angle]").input_value() == "0"
    script = SET % "rows('curvature').flat().filter((d) => !d.last)"
    found = tab.evaluate(script, {"rho": 0.999, "normalized": True, "along": "modulus"})["rows"]
    for k in (1, 2):  # exponential and optimal: flat for white inputs
        curve = {row["m"]: row["curvature"] for row in found if row["k"] == k}  # several tables hold the same rows
        assert len(curve) == 100
        assert (np.diff([curve[m] for m in sorted(curve)]) > 0).all()
    found = tab.evaluate(script, {"along": "angle", "rho": 0, "angle": 0})
    assert {row["k"] for row in found["rows"]} == {0, 2}
    assert "exponential undefined" in found["readout"]
    turned = tab.evaluate(script, {"angle": 0.01})
    assert {row["k"] for row in turned["rows"]} == {0, 1, 2}
    reader.must_be_flawless()


def test_what_the_page_says_of_memory_10_and_100(play):
    reader, tab = play("01-landscape")
    for memory, rho, expected in [(1, 0, 264), (2, 0, 251e3), (2, 0.999, 8.7e7)]:
        found = tab.evaluate(SET % "[]", {"memory": memory, "rho": rho})
        assert numbers(found["readout"].split("polar")[1])[0] == pytest.approx(expected, rel=5e-3)
    reader.must_be_flawless()


@pytest.mark.parametrize(
    "at",
    [
        {"lam_m": 1, "lam_angle": 0.25, "rho": 0, "normalized": False},
        {"lam_m": 2, "lam_angle": -0.6, "rho": 0.9, "normalized": True},
        {"lam_m": 0.3, "lam_angle": 0, "rho": 1, "normalized": False},
        {"lam_m": 1, "lam_angle": 0.25, "rho": 0, "normalized": True},  # E|h|^2 = 1
    ],
)
def test_complex_plane_shows_the_closed_forms(play, at):
    reader, tab = play("02-complex-plane", anew=False)
    found = tab.evaluate(SET % "{steps: rows('response')[0], lines: rows('level').flat()}", at)
    lam = (1 - 10 ** -at["lam_m"]) * np.exp(1j * np.pi * at["lam_angle"])
    t = np.arange(101)
    steps = found["rows"]["steps"]
    gamma = (1 - abs(lam) ** 2) ** 0.5 if at["normalized"] else 1
    np.testing.assert_allclose([row["response"] for row in steps], gamma * (lam**t).real, atol=1e-12)
    slope = gamma * np.concatenate([[0], (t[1:] * lam ** t[:-1]).real])
    np.testing.assert_allclose([row["sensitivity"] for row in steps], slope, atol=1e-10)
    moments = [gamma**2 * moment(lam, at["rho"]) for moment in (theory.state_variance, theory.sensitivity)]
    assert at["rho"] or not at["normalized"] or moments[0] == pytest.approx(1)
    assert numbers(found["readout"].split("E|h|²")[1]) == pytest.approx(moments, rel=6e-4)

    lines = found["rows"]["lines"]
    levels = np.array([row["level"] for row in lines])
    assert sorted(set(levels)) == [0.001, 0.01, 0.1, 0.3]
    students = np.array([row["re"] + 1j * row["im"] for row in lines])
    inside = abs(students) < 0.999  # the rest of a line follows the circle
    assert inside.mean() > 0.7
    shares = theory.one_dimensional_loss(students[inside], lam, at["rho"], normalized=at["normalized"]) / moments[0]
    np.testing.assert_allclose(shares, levels[inside], rtol=0.02)
    reader.must_be_flawless()


def model_moments(at: dict, log_memory: float, still: bool = False) -> tuple[float, float, complex, float]:
    """Both moments of a unit of the field guide under the coin, the gate's mean and its mean square; what is not
    learned has no derivative."""
    model, (rho, sigma) = field_guide.get(at["model"]), (0, 0) if still else (at["rho"], at["sigma"])
    raw = {name: torch.tensor(value, dtype=torch.float64) for name, value in model.start(10**log_memory).items()}
    coin = (sigma if model.noise else 0) * torch.tensor([1, -1], dtype=torch.float64)

    def gates(value):
        return tuple(part.expand(2) for part in model.unit(raw | {at["along"]: value}, coin))

    if at["along"] in raw:
        point = raw[at["along"]]
        (lam, scale), (dlam, dscale) = torch.func.jvp(gates, (point,), (torch.ones_like(point),))
    else:
        lam, scale = gates(torch.tensor(0.0).double())
        dlam = dscale = torch.zeros(2).double()
    moments = theory.random_gate_moments(lam, dlam, scale, dscale, rho=rho)
    return (*(float(value) for value in moments), complex(lam.mean()), float(lam.abs().square().mean()))


CURVES = "rows('curve').flat().filter((d) => !('power' in d) && 'moment' in d)"
GATED = [name for name in MODELS if field_guide.get(name).noise]


@pytest.mark.parametrize("model", MODELS)
def test_models_show_the_closed_forms_of_the_field_guide(play, model):
    """Each parameter that a model has, at other positions of the sliders each."""
    reader, tab = play("05-todays-models", anew=False)
    positions = {"modulus": (2, 0, 0.5), "angle": (3.3, 0.9, 1.2), "step": (1.2, 0.4, 0)}
    script = SET % f"{{curves: {CURVES}, steps: rows('response').flat(), powers: rows('power').flat()}}"
    for along, (memory, rho, sigma) in positions.items():
        at = {"model": model, "along": along, "memory": memory, "rho": rho, "sigma": sigma}
        found = tab.evaluate(script, at)
        h2, s2, mean, square = model_moments(at, memory)
        learned = along in field_guide.get(model).start(100.0)
        assert (f"it has no {along}" in found["readout"]) != learned
        assert ("gates stand still" in found["readout"]) == (model not in GATED and sigma > 0)
        shown = numbers(found["readout"].split("E|h|²")[1])
        assert shown[0] == pytest.approx(h2, rel=6e-3)

        def power(which, at=at, memory=memory):
            ends = [model_moments(at, memory + step)[which] for step in (-0.05, 0.05)]
            return np.log10(ends[1] / ends[0]) / 0.1

        assert shown[1] == pytest.approx(power(0), abs=6e-3)
        if learned:
            assert shown[2:4] == [pytest.approx(s2, rel=6e-3), pytest.approx(power(1), abs=6e-3)]
        rows = found["rows"]["curves"]
        assert {row["which"] for row in rows} == ({"h2", "s2"} if learned else {"h2"})
        assert len({(row["m"], row["bare"], row["which"]) for row in rows}) == 43 * 2 * (1 + learned)
        for row in rows[::9]:
            expected = model_moments(at, row["m"], still=row["bare"])[row["which"] == "s2"]
            assert row["moment"] == pytest.approx(expected, rel=1e-6), (row["which"], row["m"])
        slopes = [row for row in found["rows"]["powers"] if row["curve"] == "h2false" and row["m"] > 3.9]
        ends = [model_moments(at, m)[0] for m in (4 - 3.5 / 42, 4)]
        assert slopes and slopes[-1]["power"] == pytest.approx(np.log10(ends[1] / ends[0]) / (3.5 / 42), abs=1e-6)
        for row in found["rows"]["steps"][::20]:
            expected = (mean ** row["t"]).real if row["which"] == "mean" else square ** (row["t"] / 2)
            assert row["response"] == pytest.approx(expected, abs=1e-9)
    reader.must_be_flawless()


def test_what_the_page_says_of_moving_gates_and_slow_inputs(play):
    reader, tab = play("05-todays-models")

    def shown(**at):
        return numbers(tab.evaluate(SET % "[]", at)["readout"].split("E|h|²")[1])

    still = shown(model="GRU, Chrono start", along="modulus", memory=4, rho=0, sigma=0)
    moving = shown(sigma=2)
    assert [moving[i] / still[i] for i in (0, 2)] == pytest.approx([np.cosh(4) / np.cosh(2)] * 2, rel=0.02)
    assert moving[1] == pytest.approx(-1, abs=0.01)
    assert [shown(memory=m, rho=0.99, sigma=0)[0] for m in (1, 2)] == pytest.approx([0.91, 0.5], abs=0.01)
    powers = [shown(model="RG-LRU (Griffin)", memory=memory)[1] for memory in (1, 2, 4)]
    assert powers == pytest.approx([0.96, 0.5, 0], abs=0.02)
    reader.must_be_flawless()


def test_a_choice_survives_a_change_of_theme(play):
    reader, tab = play("05-todays-models")
    choice = tab.get_by_label("parametrisation")
    choice.focus()
    tab.keyboard.press("ArrowDown")
    assert choice.input_value() == MODELS[1]
    tab.wait_for_function("document.querySelector('.play-readout').textContent.startsWith('LRU ')")
    tab.evaluate("() => { window.light = document.querySelector('.play').view; }")
    tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    tab.wait_for_function("document.querySelector('.play').view !== window.light")
    assert tab.get_by_label("parametrisation").input_value() == MODELS[1]
    assert tab.locator(".play-readout").inner_text().startswith("LRU ")
    reader.must_be_flawless()


DISC = """() => {
  const view = document.querySelector(".play").view, [left, top] = view.origin(), padding = view.padding();
  const marks = view.scenegraph().root.items[0].items;
  const { x, y, width } = marks.find((mark) => mark.name === "concat_0_group").items[0];
  return [left + padding.left + x + width / 2, top + padding.top + y + width / 2, width / 2];
}"""

NEAR = """([re, im]) => {
  const view = document.querySelector(".play").view;
  const nu = 1 - 10 ** -view.signal("lam_m"), theta = Math.PI * view.signal("lam_angle");
  return Math.hypot(nu * Math.cos(theta) - re, nu * Math.sin(theta) - im) < 0.1;
}"""


@pytest.mark.parametrize("page", ["notebooks/play/02-complex-plane.html", "slides/play-02-complex-plane.html"])
def test_an_eigenvalue_can_be_dragged_and_sliders_and_numbers_follow(visit, address, page):
    reader = visit(address, viewport={"width": 1280, "height": 1000})  # so that nothing has to scroll
    tab = reader.open(page)
    tab.wait_for_function("document.querySelector('.play').view")
    box, (x, y, radius) = tab.locator(".play canvas").bounding_box(), tab.evaluate(DISC)

    def move(goal: complex) -> None:
        tab.mouse.move(box["x"] + x + radius * goal.real, box["y"] + y - radius * goal.imag, steps=5)

    move(0.6 + 0.5j)
    tab.mouse.down()
    for goal in [-0.45 + 0.4j, 0.1 - 0.9j]:
        move(goal)
        tab.wait_for_function(NEAR, arg=[goal.real, goal.imag])
        tab.evaluate("async () => { await document.querySelector('.play').view.runAsync(); }")
        m, angle = (float(tab.locator(f"input[name=lam_{name}]").input_value()) for name in ["m", "angle"])
        nu = 1 - 10**-m
        assert abs(nu * np.exp(1j * np.pi * angle) - goal) < 0.12, "the sliders are not where the pointer is"
        shown = numbers(tab.locator(".play-readout").inner_text())
        assert shown[:2] == pytest.approx([nu, angle], abs=0.006)
        assert shown[2] == pytest.approx(1 / (1 - nu**2), rel=1e-3)
        assert tab.locator(".play canvas").bounding_box() == box, "the picture moves away under the pointer"
    tab.mouse.up()
    move(0.6 + 0.5j)
    tab.evaluate("async () => { await document.querySelector('.play').view.runAsync(); }")
    assert float(tab.locator("input[name=lam_angle]").input_value()) == angle, "let go, it stays"
    reader.must_be_flawless()


@pytest.mark.parametrize("optimizer", ["gradient descent", "sign descent", "Adam"])
def test_descent_shows_the_paths_of_pytorch(play, optimizer):
    reader, tab = play("03-descent", anew=False)
    at = {"optimizer": optimizer, "rate": -3, "step": 30}  # later sign descent hangs on the last bit of a gradient
    found = tab.evaluate(SET % "rows('loss').flat()", at)
    losses = []
    for landscape, H in [("dense", [[500.5, 499.5], [499.5, 500.5]]), ("diagonal", [[1000, 0], [0, 1]])]:
        expected = torch_path(landscape, optimizer, 0.001, 30)
        rows = {row["t"]: row for row in found["rows"] if row["landscape"] == landscape}
        assert sorted(rows) == list(range(31))
        np.testing.assert_allclose([[rows[t]["x"], rows[t]["y"]] for t in range(31)], expected, atol=1e-5)
        losses.append(0.5 * expected[-1] @ np.array(H) @ expected[-1])
    assert numbers(found["readout"].split("dense")[1]) == pytest.approx(losses, rel=0.05)
    reader.must_be_flawless()


@pytest.mark.parametrize(
    "at",
    [
        {"optimizer": "Adam", "angle": 45, "rate": -2.5, "step": 25},
        {"optimizer": "Adam", "angle": 90, "rate": -2.5, "step": 25},
        {"optimizer": "gradient descent", "angle": 30, "rate": -3, "step": 25},
        {"optimizer": "Gauss-Newton", "angle": 75, "rate": -1.5, "step": 25},
    ],
)
def test_bases_show_the_paths_of_pytorch(play, at):
    reader, tab = play("04-basis", anew=False)
    found = tab.evaluate(SET % "rows('basis').flat()", at)
    losses, lags = [], np.arange(600)
    for basis, angle in [("own axes", 0), ("turned", at["angle"])]:
        expected = torch_eigenvalues(at["optimizer"], angle, 10 ** at["rate"], 25)
        rows = {row["t"]: row for row in found["rows"] if row["basis"] == basis}
        assert sorted(rows) == list(range(26))
        np.testing.assert_allclose([[rows[t]["x"], rows[t]["y"]] for t in range(26)], expected, atol=1e-5)
        losses.append(0.5 * np.square((expected[-1][:, None] ** lags).sum(0) - 0.5**lags - 0.95**lags).sum())
    readout = found["readout"].replace(f"turned by {at['angle']}°", "").split("own axes")[1]
    assert numbers(readout) == pytest.approx(losses, rel=0.01)
    reader.must_be_flawless()


TICKS = """() => {
  const touching = [];
  const walk = (mark) => {
    if (mark.role === "axis-label") {
      const shown = mark.items.filter((item) => item.opacity !== 0 && item.text !== "");
      for (let k = 1; k < shown.length; k++) {
        const [a, b] = [shown[k - 1].bounds, shown[k].bounds];
        const apart = Math.max(b.x1 - a.x2, a.x1 - b.x2, b.y1 - a.y2, a.y1 - b.y2);
        if (apart < 4) touching.push(`${shown[k - 1].text} and ${shown[k].text}: ${apart.toFixed(1)} pixels apart`);
      }
    }
    (mark.items || []).forEach((item) => (item.items || []).forEach(walk));
  };
  walk(document.querySelector(".play").view.scenegraph().root);
  return touching;
}"""


@pytest.mark.parametrize("folder", ["notebooks/play/", "slides/play-"])
@pytest.mark.parametrize("page", ["01-landscape", "02-complex-plane", "03-descent", "04-basis", "05-todays-models"])
def test_labels_of_ticks_keep_apart(visit, address, folder, page):
    tab = visit(address, viewport={"width": 1280, "height": 720}).open(f"{folder}{page}.html")
    tab.wait_for_function("document.querySelector('.play').view")
    assert tab.evaluate(TICKS) == []


@pytest.mark.parametrize(
    "page", ["01-vanishing-and-exploding", "03-normalisation-and-reparametrisation", "06-adam-likes-diagonal"]
)
def test_charts_in_the_theory_work_from_disk(visit, site, page):
    reader = visit(site.as_uri() + "/")
    tab = reader.open(f"notebooks/theory/{page}.html")
    tab.wait_for_function("document.querySelector('.play').view")
    (chart,) = tab.locator('.play [role="graphics-document"]').all()
    assert len(chart.get_attribute("aria-label")) > 100
    assert numbers(tab.locator(".play-readout").inner_text())
    assert tab.evaluate(TICKS) == []
    reader.must_be_flawless()


def test_what_the_theory_says_beside_its_charts(visit, address):
    reader = visit(address)

    def shown(page: str, positions: list[dict], before: str) -> list[list[float]]:
        tab = reader.open(f"notebooks/theory/{page}.html")
        tab.wait_for_function("document.querySelector('.play').view")
        readouts = [tab.evaluate(SET % "[]", at)["readout"] for at in positions]
        return [numbers(readout.split(before)[1]) for readout in readouts]

    found = shown("01-vanishing-and-exploding", [{"lam_m": 1, "lam_angle": 0}, {"lam_m": 2}], "E|dh/dλ|²")
    assert [moment for (moment,) in found] == pytest.approx([264, 251e3], rel=2e-3)
    memories = [{"memory": memory} for memory in (1, 2, 3)]
    for scaled in (True, False):
        curvatures = shown(
            "03-normalisation-and-reparametrisation", [at | {"normalized": scaled} for at in memories], "modulus"
        )
        for way, values in zip(["polar", "exponential", "optimal"], np.transpose(curvatures), strict=True):
            grows = not scaled or way == "polar"
            assert (np.diff(np.log10(values)) > 0.9).all() if grows else max(values) <= 1, (way, scaled)
    reader.must_be_flawless()


def test_keyboard_and_theme(play):
    """Arrow keys move a slider; a change of theme draws the chart anew in other colours and leaves the slider there."""
    reader, tab = play("01-landscape")
    slider = tab.get_by_label("memory of the teacher")
    slider.focus()
    for _ in range(10):
        tab.keyboard.press("ArrowRight")
    assert float(slider.input_value()) == pytest.approx(1.6)
    tab.wait_for_function("document.querySelector('.play-readout').textContent.includes('0.9749')")
    tab.evaluate("async () => { window.light = document.querySelector('.play').view; await light.runAsync(); }")
    pixels = "document.querySelector('.play canvas').toDataURL()"
    light = tab.evaluate(pixels)
    tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    tab.wait_for_function("document.querySelector('.play').view !== window.light")
    assert tab.evaluate(pixels) != light
    words = "getComputedStyle(document.documentElement).getPropertyValue('--pst-color-text-base').trim()"
    assert tab.evaluate(INK) == [tab.evaluate(words)], "words of the chart have the colour of words on the page"
    assert float(tab.get_by_label("memory of the teacher").input_value()) == pytest.approx(1.6)
    assert "0.9749" in tab.locator(".play-readout").inner_text()
    reader.must_be_flawless()
