# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The curse of memory in today's models
#
# **You will see** how state, sensitivity and loss curvature of 24 recurrences scale with memory at initialisation:
# gates and state-space steps tame the modulus; angles are tame only where a step size multiplies them and sets the
# memory. **You need** [normalisation and reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb) and
# [gates as eigenvalues](../theory/07-gates-as-eigenvalues.ipynb). **Time** half a minute on a CPU.

# %% tags=["hide-input"]
import importlib.metadata, importlib.util, subprocess, sys

# The branch main; in a published copy, the commit that executed it.
source = "git+https://repository.invalid/owner/name@main"
if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
import rnnlib

remedy = "run `%pip uninstall -y rnnlib`, restart the session, then run this cell again"
if not hasattr(rnnlib, "linear_scan"):
    raise ImportError(f"{rnnlib.__file__ or rnnlib.__path__} is another project: {remedy}.")
for distribution in importlib.metadata.distributions(name="rnnlib"):
    origin = distribution.read_text("direct_url.json") or ""  # names a commit if pip took one
    if "commit_id" in origin and not source.endswith("@main") and source[-40:] not in origin:
        raise ImportError(f"This notebook needs {source}, installed is {origin}: {remedy}.")

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from rnnlib.lab import field_guide, style
from rnnlib.lab.field_guide import exponents

style.use()
guide = exponents.table(field_guide.MODELS)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Right of 0 a quantity grows with memory. Powers of the memory m = 1 / (1 - |λ|), for white inputs and constant gates. Left: second moments of the state (black) and of its derivatives with respect to raw parameters. Right: curvature of the loss at its optimum, output scaled to variance 1. Large open symbols: expected; small filled ones: measured between m = 1,000 and 10,000.", "name": "fig-field-guide"}, "image": {"alt": "A chart with one line for each of 24 models, in three groups. Tamed: the curvatures of S4D and S5, Mamba, RG-LRU, minGRU, minLSTM, GRU, LSTM, HGRN2, GLA, sLSTM, the optimal parametrisation and BD-LRU lie at 0. Tamed for the modulus alone: LRU, S4D and Mamba-3 with memory from A, HGRN and the Cayley rotation have moduli at 0, Mamba-3 with a heavy tail at minus 2, and angles or steps at 2. Cursed: the complex RNN at 2 for both, scoRNN's angle at 2, LinOSS at 3 and 1. All measured symbols lie inside the expected ones."}}
LOOKS = {
    "": ("s", "black", "state", 0),
    "modulus": ("o", "#0173b2", "modulus", 0.3),
    "angle": ("^", "#d55e00", "angle", 0),
    "step": ("D", "#029e73", "step", -0.3),
}
ORDER = ["tamed", "tamed for the modulus alone", "cursed"]
groups = [[m.name for m in field_guide.MODELS if m.verdict == verdict] for verdict in ORDER]
heights, titles, y = {}, [], 0
for verdict, names in zip(ORDER, groups, strict=True):
    titles.append((y, verdict))
    heights |= {name: y - 1 - i for i, name in enumerate(names)}
    y -= len(names) + 1.3
fig, axes = plt.subplots(1, 2, figsize=(7, 7.4), sharey=True, layout="constrained")
shown = guide.query("rho == 0 and gates == 'still'")
for ax, kinds in zip(axes, [("state", "sensitivity"), ("curvature",)], strict=True):
    ax.axvline(0, color="0.7", lw=1, zorder=0)
    for direction, (marker, color, label, offset) in LOOKS.items():
        rows = shown[shown["quantity"].isin(kinds) & (shown["direction"] == direction)]
        at = [heights[name] + offset for name in rows["model"]]
        ax.plot(rows["expected"], at, marker, color=color, mfc="none", ms=6.5, alpha=0.6)
        ax.plot(rows["measured"], at, marker, color=color, ms=3, label=label)
    ax.set(xlim=(-3.4, 5.6), xlabel="power of memory")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for height, _ in titles:
        ax.axhline(height - 0.45, color="0.85", lw=0.8, zorder=0)
axes[0].set_yticks([*heights.values(), *(height for height, _ in titles)])
axes[0].set_yticklabels([*heights, *(verdict.upper() for _, verdict in titles)], fontsize=9)
axes[0].set(title="second moments", ylim=(y + 0.8, 0.8))
axes[1].set(title="loss curvature")
axes[1].legend(loc="upper right", bbox_to_anchor=(1, 0.95), fontsize=9);
# %% [markdown]
# ## A designer's checklist
# Each item ends with the [claims](../../book/claims.md) that support it.
#
# 1. Ask how far each recurrent parameter moves $\lambda$. It is tame if that distance is proportional to $1 -
#    |\lambda|$, as with an exponential, a sigmoid or a softplus step: *complex RNN* against *LRU*, *GRU*, *Mamba-1*.
#    `beyond-guide-1-tame-parameters` `beyond-guide-2-modulus`
# 2. Scale the input by $\gamma$ or $1 - \lambda$, or normalise after the state: *RG-LRU* against *GLA*.
#    `beyond-guide-3-input-scale`
# 3. On [slow inputs](long-inputs.ipynb), such as text, prefer $1 - \lambda$ or the norm: $\gamma$ lets the state grow.
#    `beyond-guide-4-slow-inputs` `beyond-inputs-text-has-long-memory`
# 4. A bounded angle is not tame, nor is one learned on its own scale: *Cayley rotation*, *HGRN*. An angle times the
#    step is, if the step sets the memory: *S4D*, *Mamba-3*. `beyond-guide-6-bounded-angle` `beyond-guide-5-step`
# 5. For angles that stay as memory grows, use [the polar angle](angles.ipynb), its steps scaled by $1 -
#    |\lambda|^2$; below $\pi/10$ the exponential one. `beyond-angles-fresh-scaled-steps-have-both`
#    `beyond-angles-others-steps-shrink`
# 6. Orthogonal matrices and oscillators keep the curse: *scoRNN*, *LinOSS-IM*. `beyond-guide-10-orthogonal`
# 7. Start long memories with the gate that can reach them: the input gate of *minLSTM*, a bias for *minGRU*. A flat
#    tail prevents an explosion, but the parameter hardly moves: *Mamba-3*, heavy tail.
#    `beyond-guide-7-input-gate` `beyond-guide-8-flat-tail`
# 8. Treat moving gates like constant ones, [unless they see the input that they let in](gates-that-move.ipynb): noise
#    changes constants, not powers. `beyond-guide-9-moving-gates`
# 9. Keep recurrent parameters, and what is computed from them, [in float32](few-bits.ipynb). A bfloat16 state is
#    accurate under noise and stalls in silence: test it with an impulse. `beyond-bits-lru` `beyond-bits-impulse-stays`
# 10. Learn the recurrence if memory times the range of angles exceeds the number of units; otherwise [fixed
#     eigenvalues](fixed-eigenvalues.ipynb) with a fitted readout suffice. `beyond-poles-all-angles`
#     `beyond-poles-window`
#
# ## What is measured
# Each model is reduced to [one unit of a few lines](https://repository.invalid/owner/name/blob/main/rnnlib/lab/field_guide/units.py), for
# instance Mamba's:

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the unit of Mamba", "code_prompt_hide": "Hide it"}
import inspect

print(inspect.getsource(field_guide.units.mamba))

# %% [markdown]
# Its raw parameters take the values that the model gives them for long memory. With constant gates an impulse response
# describes the unit, so moments are sums, and derivatives come from automatic differentiation; for gates that inputs
# perturb at random we use the closed forms of `theory.random_gate_moments` ([proofs](../../book/proofs-gates.md)).
# Nothing is sampled. We wrote down the expected exponents before measuring; they lie within 0.1 of the measured ones,
# `beyond-guide-exponents`. The largest differences, for white inputs and for inputs with correlation 0.9, with constant
# or moving gates:

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the largest differences", "code_prompt_hide": "Hide the table"}
guide["difference"] = (guide["measured"] - guide["expected"]).abs()
table = guide.pivot_table("difference", ["quantity", "gates"], "rho", "max")
table.columns = [f"rho = {rho:g}" for rho in table.columns]
table.reset_index().fillna("").style.hide(axis="index").format(
    lambda value: value if isinstance(value, str) else f"{value:.3f}"
)

# %% [markdown]
# ## The models
# Raw parameters are a (modulus), b (angle) and d (step); $g$ is the input's contribution to a gate's logit.
#
# | model | eigenvalue $\lambda$ | input scale | verdict |
# | --- | --- | --- | --- |
# | complex RNN | $a\,e^{ib}$ | $1$ | cursed |
# | LRU | $e^{-e^a + i e^b}$ | $\gamma = \sqrt{1 - \lvert\lambda\rvert^2}$, then learned | tamed for the modulus alone |
# | optimal parametrisation | $\nu e^{i\theta}$, $\nu = \tanh a$, $\theta = b\,\tfrac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}}$ | $\gamma(\nu)$ | tamed |
# | S4D, memory from the step | $e^{\Delta (-e^a + ib)}$, $\Delta = e^d$ | $(\lambda - 1) / A$ | tamed |
# | S4D, memory from A | $e^{\Delta (-e^a + ib)}$, $\Delta = e^d$ | $(\lambda - 1) / A$ | tamed for the modulus alone |
# | S5 | $e^{\Delta (a + ib)}$, $\Delta = e^d$ | $(\lambda - 1) / A$ | tamed |
# | Mamba-1 | $e^{-\Delta e^a}$, $\Delta = \mathrm{softplus}(d + g)$ | $\Delta$ | tamed |
# | Mamba-2 | $e^{-\Delta e^a}$, $\Delta = \mathrm{softplus}(d + g)$ | $\Delta$ | tamed |
# | Mamba-3, memory from the step | $e^{\Delta (-\mathrm{softplus}(a + g) + i \pi \tanh b)}$, $\Delta = \mathrm{softplus}(d)$ | $\Delta$, over two steps | tamed |
# | Mamba-3, memory from A, softplus | $e^{\Delta (-\mathrm{softplus}(a + g) + i \pi \tanh b)}$, $\Delta = \mathrm{softplus}(d)$ | $\Delta$, over two steps | tamed for the modulus alone |
# | Mamba-3, memory from A, heavy tail | $e^{\Delta (-f(a + g) + i \pi \tanh b)}$, $f(x) = 1/(1 - x)$ for $x < 0$ | $\Delta$, over two steps | tamed for the modulus alone |
# | RG-LRU (Griffin) | $e^{-8 \sigma(d + g)\,\mathrm{softplus}(a)}$ | $\tfrac12 \sqrt{1 - \lambda^2}$ | tamed |
# | minGRU | $\sigma(a + g)$ | $1 - \lambda$ | tamed |
# | minLSTM | $\frac{f}{f + i}$, $f = \sigma(a + g)$, $i = \sigma(d)$ | $1 - \lambda$ | tamed |
# | GRU, Chrono start | $\sigma(a + g)$ | $1 - \lambda$ | tamed |
# | LSTM, Chrono start | $\sigma(a + g)$ | $\sigma(d)$, $d = -a$ at the start | tamed |
# | HGRN | $\big(l + (1 - l)\,\sigma(a + g)\big)\,e^{ib}$ | $1 - \lvert\lambda\rvert$ | tamed for the modulus alone |
# | HGRN2 | $l + (1 - l)\,\sigma(a + g)$ | $1 - \lambda$ | tamed |
# | GLA | $\sigma(a + g)^{1/16}$ | $1$ | tamed |
# | sLSTM (xLSTM) | $\sigma(a)$ | $i / n \to 1 - \lambda$, $i = e^d$ | tamed |
# | LinOSS-IM | $\frac{1 + i \Delta \sqrt a}{1 + \Delta^2 a}$, $\Delta = \sigma(d)$ | $\Delta \lambda$, position read | cursed |
# | Cayley rotation with decay | $e^{-e^a}\,\frac{1 + ib}{1 - ib}$ | $\gamma$, then learned | tamed for the modulus alone |
# | scoRNN (Cayley, orthogonal) | $\frac{1 + ib}{1 - ib}$ | $1$ | cursed |
# | BD-LRU, a block of three | $p + q\omega + r\bar\omega$, $\omega^3 = 1$, $(p, q, r, s) = \mathrm{softmax}(a, b, 0, 0)$ | $s$ | tamed |
#
# <details>
# <summary>What makes memory long, why, the remedy, and the source</summary>
#
# | model | memory is long if | why | remedy | source |
# | --- | --- | --- | --- | --- |
# | complex RNN | a near 1, any angle | both parameters move the eigenvalue by as much at any memory | an exponential modulus and an input scale: the LRU | Zucchet and Orvieto (2024), appendix A.2 |
# | LRU | a ring near the circle | the modulus moves by a share of its distance to 1, the angle by a share of itself | the angle times a step that shrinks with memory (S4D); small angles lower the constant | NicolasZucchet/minimal-LRU, lru/model.py at bbd71b1; Zucchet and Orvieto (2024), appendix A.2 |
# | optimal parametrisation | a large, any angle | built so that both curvatures are 1, the modulus held where it multiplies b | nothing at the optimum; on the way the valley is flat (Figure 7), so scale the steps of a polar angle instead | Zucchet and Orvieto (2024), section 3.1 and appendix C.1.2 |
# | S4D, memory from the step | $\Delta$ small, $A = -\frac12 + 3 \pi i$ stays | the step multiplies everything, also the angle's derivative; the scale is about the step | nothing in the exponents; the step's constant grows as the square of the frequency | state-spaces/s4, models/s4/s4d.py at 2ed46fc |
# | S4D, memory from A | Re A small, $\Delta = 0.1$ and Im A stay | angle and step turn the eigenvalue by a fixed amount, the modulus is exponential | let the step carry the memory | state-spaces/s4, models/s4/s4d.py at 2ed46fc |
# | S5 | $\Delta$ small, $A = -\frac12 + 3 \pi i$ stays | as S4D; a linear real part does no harm while the step carries the memory | nothing while it trains; clip Re A, which is linear and may cross 0 | lindermanlab/S5, s5/ssm.py at 52fbd83 |
# | Mamba-1 | $\Delta$ small, A = -1 stays | softplus is an exponential where the step is small; the scale is the step | nothing; states shrink as memory grows, so mind half precision | state-spaces/mamba, mamba_ssm/modules/mamba_simple.py at 000b310 |
# | Mamba-2 | $\Delta$ small, A = -8 stays | as Mamba-1 | nothing | state-spaces/mamba, mamba_ssm/modules/mamba2_simple.py at 20ddb82 |
# | Mamba-3, memory from the step | $\Delta$ small, a = 0 and b = 1/2 stay | the step multiplies decay and angle | nothing, while the step carries the memory | state-spaces/mamba, mamba_ssm/modules/mamba3.py at 0348a3d; mamba_ssm/ops/triton/mamba3/angle_dt.py at 37f9d02 |
# | Mamba-3, memory from A, softplus | a far below 0, $\Delta = 0.1$ and b = 1/2 stay | the scale does not follow A, and angle and step turn by a fixed amount | the tail of June 2026 (next row), which makes such memories hard to reach | state-spaces/mamba, mamba_ssm/modules/mamba3.py at 0348a3d; pull request 962 (June 2026) |
# | Mamba-3, memory from A, heavy tail | a far below 0, $\Delta = 0.1$ and b = 1/2 stay | f' = f^2 moves the eigenvalue by the square of its distance to 1; angle and step as before | the modulus is flat now; for the angle let the step carry the memory | state-spaces/mamba, pull request 962 (June 2026) |
# | RG-LRU (Griffin) | softplus(a) small | decay rates are products, each factor moves a share; gamma keeps the state | nothing; its square root needs a bounded slope at 1, as the source has | google-deepmind/recurrentgemma, recurrentgemma/torch/layers.py at 2a3dde4 |
# | minGRU | a large (this code has no bias: its own start remembers two steps) | a sigmoid's slope is the distance to 1, and the scale is that distance | a bias with Chrono initialisation | lucidrains/minGRU-pytorch, minGRU_pytorch/minGRU.py at 2707433 |
# | minLSTM | input logit d far below 0: with f alone it ends at 1 / (1 + i) | only the ratio f / i counts; both logits move it by a share | start the input gate low, not the forget gate high | lucidrains/minGRU-pytorch, minGRU_pytorch/minLSTM.py at 63e86bb |
# | GRU, Chrono start | a = log T | as minGRU | nothing | Zucchet and Orvieto (2024), appendix D.3; Tallec and Ollivier (2018), abstract |
# | LSTM, Chrono start | a = log T | both biases move by shares; the scale follows only at the start | tie the input gate to the forget gate, or keep its bias opposite | 0h-n0/chrono_initialization, chrono_initialization/chrono_initialization.py at 16c26e6; Tallec and Ollivier (2018), abstract |
# | HGRN | lower bound l near 1 (upper layers), any angle | the gate moves inside its bound; the angle is linear | no angle, as in HGRN2, or the angle times $1 - l$ | Doraemonzzz/hgru-pytorch, hgru/hgru1d.py at 0d55662 |
# | HGRN2 | lower bound l near 1 (upper layers) | the gate moves inside its bound, and the scale follows | nothing | fla-org/flash-linear-attention, fla/layers/hgrn2.py at 0315a70 |
# | GLA | a large; the root gives 16 times the memory of a sigmoid | a sigmoid's slope, and no input scale | the norm after the state, which the source has | fla-org/flash-linear-attention, fla/layers/gla.py at 0c4ada1 |
# | sLSTM (xLSTM) | a large | the normaliser makes a weighted mean; a constant exponential input gate cancels | nothing; take the normaliser along wherever gates are exponential | NX-AI/xlstm, xlstm/blocks/slstm/src/vanilla/slstm.py at 71a320c |
# | LinOSS-IM | a near 0, $\Delta = \frac12$ | the angle is about the root of twice the decay rate, so it turns faster than the state decays; the position divides by root a once more, and a is linear | learn log a, which leaves a power of 1 | jaredbmit/damped-linoss, src/damped_linoss/models/LinOSS.py at 450b546 |
# | Cayley rotation with decay | a ring near the circle, b = 1/2 | the tangent of half the angle bounds the slope, but not by the distance to the circle | as for the LRU | the transform: SpartinStuff/scoRNN, scoRNN.py at 3e34d5f; with a decay: unsourced, ours |
# | scoRNN (Cayley, orthogonal) | none is lost: memory is the window | sums of 1 and of squared lags over the window | a decay; an orthogonal matrix cures vanishing and keeps the curse | SpartinStuff/scoRNN, scoRNN.py at 3e34d5f |
# | BD-LRU, a block of three | a large, b = 0 | rows share a budget of 1, so long memory forces all other weights to shrink with the distance to 1 | nothing; but weights are positive, so long memories lie near roots of unity, and a block of two cannot rotate | IgorDn8/mad-lab, mad/model/layers/bdlru_sel.py at 12aedab; Dubinin, Orvieto and Effenberger (2026), abstract; that the block is circulant is ours |
#
# </details>
#
# ## The explosion that Mamba-3 mended
# In June 2026 its authors reported that a hybrid model of 2 billion parameters exploded at a learning rate of 0.0014;
# they blamed softplus for making the data-dependent $A$ very small, and replaced it by $f(x) = 1 + x$ for $x \ge 0$ and
# $1 / (1 - x)$ below. Our reading: the step scales the input and $A$ does not, so
# $\mathrm{E}|h|^2 \approx \Delta / (2 f)$ grows with memory $1 / (\Delta f)$, and
#
# $$\frac{\partial \ln \mathrm{E}|h|^2}{\partial x} \approx -\frac{f'(x)}{f(x)} =
#   \begin{cases} -1 & \text{in the tail of softplus,} \\ -f(x) \to 0 & \text{in the heavy tail.} \end{cases}$$
#
# One unit of the logit multiplies a long memory and its state by $e$ with softplus, and adds $1 / \Delta$ steps with
# the heavy tail. Angle and step remain cursed; the heavy tail makes such memories hard to reach. The price is a flat
# modulus: its curvature falls as $m^{-2}$.
#
# ## On text
# Below the correlation time of text, 333 steps in the paper's fit, powers are different; the table has those between 30
# and 300 steps. A real eigenvalue accumulates slow inputs; a rotating one filters them out.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show powers on text", "code_prompt_hide": "Hide the table"}
rows = []
for name in ["RG-LRU (Griffin)", "GLA", "minGRU", "Mamba-1", "HGRN2", "LRU", "HGRN", "complex RNN"]:
    model = field_guide.get(name)
    found = exponents.exponent(lambda m, model=model: exponents.text_moments(model, m), (30, 300))
    rows.append((name, found["state"], model.state, found["modulus"], model.sensitivity["modulus"]))
columns = ["model", "state, text", "white", "sensitivity to a, text", "white "]
formats = dict.fromkeys(columns[1:], "{:+.1f}")
pd.DataFrame(rows, columns=columns).style.hide(axis="index").format(formats)

# %% [markdown]
# If correlations decay as a power of the lag, there is no correlation time: [inputs with long
# memory](long-inputs.ipynb) has the powers. Reparametrisation works as before.
