"""The theory of gates that move, on the stored results of Figure 15."""

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from rnnlib import theory
from rnnlib.lab.claims import fig15


def test_moving_gates_explain_most_of_what_constant_ones_miss_on_text():
    """Gates that see the input, over constant gates: 0.86 to 1.36. The fast part of the input moves a gate anew at each
    step, the slow part shifts it for a whole sequence. Nothing is fitted: slow is what correlates over lags 100 to 400.
    The bound of a quarter was set when the numbers were known.
    """
    R = fig15.load("fig15", "inputs")["autocorrelation"].to_numpy()
    slow = R[100:400].mean()
    fast = R[0] - slow
    variance = 2.0  # of input weights times fan-in
    fast_noise, slow_noise = (
        np.sqrt(variance * part) * norm.ppf((np.arange(count) + 0.5) / count)
        for part, count in ((fast, 200), (slow, 40))
    )
    for quantity, index in (("h2", 0), ("s2", 1)):
        seen, constant = (fig15._means(gates, quantity) for gates in ("input", "constant"))

        def moments(moving, frozen, T=constant.T, index=index):
            lam = expit(np.log(T)[:, None, None] + frozen[:, None] + moving)
            parts = [(fast, 0.0), (slow, 0.997)]
            arguments = lam, lam * (1 - lam), 1 - lam, -lam * (1 - lam)
            return sum(part * theory.random_gate_moments(*arguments, rho=rho)[index].mean(-1) for part, rho in parts)

        still = np.zeros(1)
        expected = moments(fast_noise, slow_noise) / moments(still, still)
        ratio = seen.value / constant.value
        assert np.abs(np.log(ratio / expected)).max() < np.log(1.25)
        assert np.abs(np.log(ratio / expected)).mean() < np.abs(np.log(ratio)).mean()
