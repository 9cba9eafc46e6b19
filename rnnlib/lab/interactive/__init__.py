r"""Figures to play with: the closed forms of :mod:`rnnlib.theory`, evaluated by the browser.

Each function returns a Vega-Altair chart that needs no kernel: sliders and checkboxes set parameters, and the browser
evaluates the expressions below, the same on a page of the book and in Colab. Tests hold the numbers in the page equal
to :mod:`rnnlib.theory`. Needs ``altair`` 5.4 or later, which Colab has.
"""

from .bases import eigenvalue_basis, eigenvalue_paths
from .disc import complex_plane
from .landscapes import landscape
from .models import models
from .paths import optimizer_paths, quadratic_paths

__all__ = [
    "complex_plane",
    "eigenvalue_basis",
    "eigenvalue_paths",
    "landscape",
    "models",
    "optimizer_paths",
    "quadratic_paths",
]
