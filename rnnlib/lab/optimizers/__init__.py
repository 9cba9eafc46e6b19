"""Optimisers for stacks of students. No operation mixes members, so each moves as if it trained alone.

A first-order optimiser is a rule for one parameter (:mod:`.rules`): ``RULES`` says which one the recurrent parameters
get and which one all others. The other two move all parameters of a member at once and need the population loss.
"""

from .base import Optimizer
from .first_order import FirstOrder
from .gauss_newton import GaussNewton
from .lbfgs import LBFGS
from .rotation import Rotation
from .rules import RULES

#: What a protocol may name.
OPTIMIZERS: dict[str, type[Optimizer]] = dict.fromkeys(RULES, FirstOrder)
OPTIMIZERS |= {"lbfgs": LBFGS, "gauss_newton": GaussNewton}

#: How figures and tables call them.
LABELS = {
    "adam": "Adam",
    "sgd": "SGD",
    "sign": "sign descent",
    "soap": "SOAP",
    "muon": "Muon",
    "lbfgs": "L-BFGS",
    "gauss_newton": "Gauss-Newton",
}

__all__ = ["LABELS", "LBFGS", "OPTIMIZERS", "RULES", "FirstOrder", "GaussNewton", "Optimizer", "Rotation"]
