"""One look: the style applies, colours exist and differ."""

import itertools

import matplotlib
import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pytest

from rnnlib.lab import style


def test_use_applies_the_style_file():
    with matplotlib.rc_context():
        style.use()
        assert not matplotlib.rcParams["axes.spines.top"]


def test_sequences_run_from_light_to_dark():
    for quantity in ["rho", "lam"]:
        lightness = [sum(color) for color in style.sequence(quantity, 5)]
        assert lightness == sorted(lightness, reverse=True)


def test_unknown_quantity_is_named():
    with pytest.raises(ValueError, match="unknown quantity 'nu'; choose from rho"):
        style.sequence("nu", 3)


# Linear RGB as a dichromat sees it, severity 1: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), 1291-1298.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(color: str, deficiency: str) -> np.ndarray:
    """CIELAB coordinates (D65) of a hexadecimal colour as seen with a deficiency."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_differ_for_the_colour_blind(deficiency):
    """Ten units of CIELAB are told apart at a glance."""
    colors = sorted(set(style.COLORS.values()))
    distance = {
        (a, b): np.linalg.norm(lab(a, deficiency) - lab(b, deficiency)) for a, b in itertools.combinations(colors, 2)
    }
    assert min(distance.values()) > 10, min(distance, key=distance.get)


@pytest.mark.parametrize("horizontal", [False, True])
def test_replicates_show_units_median_and_interval(horizontal):
    decades = np.array([[0.0, 2.0], [1.0, 2.0], [2.0, 2.0], [3.0, 2.0], [4.0, 2.0], [np.inf, 1.0]])  # means .. 3, inf
    ax = matplotlib.figure.Figure().subplots()
    style.replicates(ax, 7.0, decades, color="k", cap=5.0, horizontal=horizontal)
    dots, bar = (line.get_xydata() for line in ax.lines[:2])
    values, places = (0, 1) if horizontal else (1, 0)
    assert np.log10(dots[:, values]) == pytest.approx([1, 1.5, 2, 2.5, 3, 5])
    assert (abs(dots[:, places] - 7) <= 0.125).all()
    assert np.log10(bar[0, values]) == pytest.approx(2.25) and bar[0, places] == 7
    ends = np.log10([line.get_xydata()[0, values] for line in ax.lines[2:]])  # two caps
    assert ends[0] < 2.25 < ends[1] <= 5


def test_no_colours_are_refused():
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, got 0"):
        style.sequence("rho", 0)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_labels_at_the_ends_keep_their_order_and_do_not_overlap(scale):
    figure, ax = plt.subplots(figsize=(3, 2), layout="constrained")
    ax.set(yscale=scale, ylim=(1, 1000))
    heights = {"low": 2, "c": 99, "d": 100, "b": 98, "high": 900}
    style.label_ends(ax, [(height, name, "black") for name, height in heights.items()])
    figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    ordered = sorted(heights, key=heights.get)
    assert all(boxes[low].y1 < boxes[high].y0 for low, high in itertools.pairwise(ordered))
    middle = ax.transData.inverted().transform((0, (boxes["high"].y0 + boxes["high"].y1) / 2))[1]
    assert middle == pytest.approx(900, rel=0.02), "a label with room stands at its line"
    assert all(box.x0 > ax.get_window_extent().x1 for box in boxes.values())
    plt.close(figure)
