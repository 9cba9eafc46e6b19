r"""Diagonal recurrent networks in PyTorch, and the theory of why they learn long memories.

The paper: Zucchet and Orvieto, "Recurrent neural networks: vanishing and exploding gradients are not the end of the
story", NeurIPS 2024.

Public are :func:`linear_scan`, the layers (:class:`LRU`, :class:`S4D`, :class:`DiagonalRNN`, :class:`DenseRNN`,
:class:`ChronoGRU`, :class:`ChronoLSTM`; :mod:`rnnlib.layers` has what a layer of your own derives from), and the
modules :mod:`parametrization` and :mod:`theory`. The paper's experiments are in :mod:`rnnlib.lab`.

Symbols, the same in code, notebooks and on the notation page:

========  =================  ==================================================
axis      B, T, N            batch, time, channel (hidden unit)
lam       :math:`\lambda`    eigenvalue (decay factor) of a unit
nu        :math:`\nu`        its modulus
theta     :math:`\theta`     its angle, radians
omega     :math:`\omega`     a raw parameter, before the change of variables
gamma     :math:`\gamma`     the scale of a unit's input
rho       :math:`\rho`       correlation of consecutive inputs
========  =================  ==================================================
"""

from . import parametrization, theory
from .layers import LRU, S4D, ChronoGRU, ChronoLSTM, DenseRNN, DiagonalRNN
from .scan import linear_scan

__all__ = [
    "LRU",
    "S4D",
    "ChronoGRU",
    "ChronoLSTM",
    "DenseRNN",
    "DiagonalRNN",
    "linear_scan",
    "parametrization",
    "theory",
]
__version__ = "0.1.0"
