"""One look: the style applies, colours exist and differ."""

import matplotlib
import pytest

from rnnlib import style


def test_use_applies_the_style_file():
    with matplotlib.rc_context():
        style.use()
        assert matplotlib.rcParams["figure.dpi"] == 150
        assert not matplotlib.rcParams["axes.spines.top"]


def test_sequences_run_from_light_to_dark():
    for quantity in ["rho", "lam"]:
        lightness = [sum(color) for color in style.sequence(quantity, 5)]
        assert lightness == sorted(lightness, reverse=True)


def test_unknown_quantity_is_named():
    with pytest.raises(ValueError, match="unknown quantity 'nu'; choose from rho"):
        style.sequence("nu", 3)
