"""What the columns of stored tables hold, with their units: for users of the files and the book."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Table(NamedTuple):
    """A table of a kind of experiment: what a row is, and what those columns hold that :data:`SHARED` does not say."""

    row: str
    columns: dict[str, str]


#: Columns that mean the same in every table that says nothing else.
SHARED: dict[str, str] = {
    "student": "kind of network, by its name in rnnlib.lab.experiments.STUDENTS",
    "teacher": "number of the stored teacher, as rnnlib.lab.systems.teacher takes it",
    "nu0": "smallest modulus of the teacher's eigenvalues; their memories start at 1 / (1 - nu0) steps",
    "theta0": "largest angle of the eigenvalues, over pi",
    "width": "units of the student",
    "heads": "blocks on the diagonal of a dense matrix; 1: a full one",
    "start": "smallest modulus of the student's eigenvalues when training starts",
    "seed": "of the student's start and of its data; 100 times a number plus the teacher's where both vary",
    "optimizer": "which: adam, adam95 (beta2 .95) or muon",
    "rate": "base learning rate of the recurrent parameters",
    "ratio": "rate of the recurrent parameters over that of all others",
    "rotation": "size of the blocks of recurrent parameters that train in a random basis; 1: none",
    "step": "steps of training done",
    "loss": "half the mean squared error of the output, mean over the last 100 steps (where the population loss is"
    " trained, beyond_population_*: its value after the last one); blank: diverged",
    "zero_loss": "the loss of the output zero on the same data; loss / zero_loss has no unit",
    "diverged": "True: a loss or a parameter became infinite or NaN",
    "parameter": "name of the parameter; .real and .imag are parts of a complex one",
    "cell": "gru, lstm or mingru",
    "group": "number of the group of sequences, draws, units or layers over which the row is a mean",
    "source": "where inputs come from: wikipedia or other articles, embedded, or Gaussian stand-ins",
    "positions": "True: position embeddings are added",
    "lag": "D, steps between two inputs",
    "h2": "mean square of the state",
    "s2": "mean square of the state's derivative by log T",
    "dtype": "precision of inputs and states",
    "length": "steps of the sequence",
    "modulus": "of the eigenvalue",
    "angle": "of the eigenvalue, radians",
    "network": "number of the network; it seeds the weights",
}

_EFFECTIVE = {
    "effective": "Adam's effective learning rate as the paper defines it (erratum 9)",
    "effective_plain": "rate / (sqrt(v) + eps), the effective rate without first moment",
}
_NEGATIVE = {"negative": "share of effective rates that are negative, 0 to 1"}
_TIME = {"T": "time constant of the gate, steps"}
_GATED = _TIME | {"gates": "what moves the gates: constant (nothing), input, or state (and input)"}
_ERRORS = {
    "one_minus_modulus": "1 - modulus of the eigenvalues",
    "error": "root mean square error of the states over their root mean square",
    "loop_error": "the same for a plain loop in that precision",
    "ratio": "error / loop_error",
    "ratio_error": "standard error of the ratio over channels",
}
_AUTOCORRELATION = "R(D), mean product of two inputs that far apart, squared units of the embedding"

#: By kind of experiment (the class that defines it) and table; "runs" is the main one, NAME.csv, others NAME.TABLE.csv.
TABLES: dict[str, dict[str, Table]] = {
    "Experiment": {
        "runs": Table("one training run", {}),
        "curves": Table(
            "a run after some of its steps",
            {"loss": "half the mean squared error, mean over the last 100 steps; blank: diverged"}
            | _NEGATIVE
            | {
                "effective": f"{_EFFECTIVE['effective']}: geometric mean of the positive ones of recurrent parameters",
                "effective_plain": f"{_EFFECTIVE['effective_plain']}: geometric mean over the recurrent parameters",
            },
        ),
        "parameters": Table("a number of a parameter, after training", _EFFECTIVE | {"index": "of the number"}),
        "groups": Table(
            "a parameter of a run, after training",
            {"size": "how many numbers it has"}
            | _NEGATIVE
            | {
                "effective": f"{_EFFECTIVE['effective']}: median of the positive ones",
                "effective_plain": f"{_EFFECTIVE['effective_plain']}: median",
            },
        ),
    },
    "SignalPropagation": {
        "runs": Table(
            "a layer of a deep network before training; numbers are log10 of mean squares",
            {
                "draw": "number of the draw; it seeds weights and data",
                "kind": "of recurrent layer: crnn, lru, gru or lstm",
                "normalization": "of the blocks: none, layer or batch",
                "time": "T_c, smallest time constant of the units, steps",
                "target": "what the loss asks for: the previous embedding, as in the code, or the next (erratum 12)",
                "layer": "block from 1 on; 0: the whole network",
                "output": "of the block",
                "error": "gradient by the block's output",
                "lambda": "gradient by the eigenvalues",
                "nu": "gradient by the raw moduli, omega_nu",
                "theta": "gradient by the raw angles, omega_theta",
                "recurrent": "gradient by the recurrent weights of a gated layer",
                "rest": "gradient by all other parameters; of the network with encoder and decoder, as in the paper",
                "rest of blocks": "the same without encoder and decoder",
                "encoder": "gradient by the encoder",
                "decoder": "gradient by the decoder",
                "all": "gradient by all parameters",
            },
        )
    },
    "Autocorrelations": {
        "runs": Table("a lag", {"padding": "True: short articles are padded", "autocorrelation": _AUTOCORRELATION}),
        "fits": Table(
            "a kind of input, fitted by R(D) = white [D = 0] + amplitude decay^D",
            {
                "padding": "True: short articles are padded",
                "white": "part of R(0) without memory",
                "amplitude": "of the part with memory",
                "decay": "of that part, a step",
                "sequences": "how many",
                "size": "dimensions of the embedding",
            },
        ),
        "groups": Table(
            "a group of articles",
            {
                "padding": "True: short articles are padded",
                "white": "fitted to the group, as in the table of fits",
                "amplitude": "likewise",
                "decay": "likewise",
                "deviation": "root mean square of R minus its fit, lags of 1 and more",
                "magnitude": "root mean square of R there",
                "lag 1": "R(1)",
                "lag 300": "R(300)",
                "lag 400": "R(400)",
                "lag 500": "R(500)",
                "lag 510": "R(510)",
            },
        ),
    },
    "Jacobians": {
        "runs": Table(
            "the Jacobian of a network's memory after t steps; numbers are root mean squares of its entries",
            {
                "max_time": "largest time constant of the gates at the start, steps",
                "input_scale": "factor on the variance of input weights",
                "recurrent_scale": "factor on recurrent weights",
                "t": "steps",
                "diagonal": "on the diagonal",
                "off": "off the diagonal",
                "off_largest": "largest modulus off the diagonal",
                "first_rows": "off the diagonal in the first rows, which the paper samples (erratum 22)",
                "change": "diagonal minus that of constant gates with the same biases",
                "fast_diagonal": "on the diagonal, the quarter of units with the shortest time constants",
                "fast_off": "off the diagonal, the same units",
                "slow_diagonal": "on the diagonal, the quarter of units with the longest time constants",
                "slow_off": "off the diagonal, the same units",
                "diagonal_5": "5 % quantile of diagonal entries",
                "diagonal_95": "95 % quantile of diagonal entries",
                "off_5": "5 % quantile of off-diagonal entries",
                "off_95": "95 % quantile of off-diagonal entries",
            },
        ),
        "entries": Table(
            "a single entry of the first network's Jacobian",
            {
                "max_time": "largest time constant of the gates at the start, steps",
                "input_scale": "factor on the variance of input weights",
                "recurrent_scale": "factor on recurrent weights",
                "t": "steps",
                "kind": "diagonal or off-diagonal",
                "place": "row times width plus column",
                "value": "of the entry",
            },
        ),
    },
    "Sensitivities": {
        "runs": Table(
            "the units of a network with T in a bin, after the last step",
            _GATED
            | {
                "units": "how many are in the bin",
                "low": "lower end of the bin, steps",
                "high": "upper end of the bin, steps",
                "T": "geometric mean of the units' time constants, steps",
            },
        ),
        "units": Table("a single unit, after the last step", _GATED | {"h2": "square of the state"}),
        "smoothed": Table("a point of the paper's running mean over T", _GATED),
        "inputs": Table("a lag", {"autocorrelation": _AUTOCORRELATION}),
        "moments": Table(
            "a time constant, from theory with the inputs' second moments",
            _TIME | {"gru_s2": "mean square of a GRU state's derivative by log T", "lstm_s2": "the same of an LSTM"},
        ),
    },
    "OneUnit": {
        "runs": Table(
            "a start of a unit that imitates a teacher of one unit",
            {
                "angle": "parametrisation of the angle, a key of rnnlib.lab.angles.ANGLES",
                "memory": "nominal memory of teacher and student, steps",
                "teacher_angle": "angle of the teacher's eigenvalue, over pi",
                "teacher": "number of the teacher's draw",
                "draw": "number of the student's start",
                "rate": "the rate for which the teacher's other start has the smallest share left",
                "left": "largest loss in the last tenth of the steps over the first one; blank: lost",
                "steps_rate": "the rate for which the teacher's other start needs the fewest steps",
                "steps": "until the loss was a hundredth of the first, at steps_rate; -1: never",
            },
        ),
        "rates": Table(
            "all starts at one rate",
            {
                "angle": "parametrisation of the angle, a key of rnnlib.lab.angles.ANGLES",
                "memory": "nominal memory of teacher and student, steps",
                "teacher_angle": "angle of the teacher's eigenvalue, over pi",
                "rate": "learning rate",
                "lost": "how many starts were lost",
                "arrived": "how many have a hundredth or less of their first loss left",
                "median": "share of the first loss left, median; blank: lost",
                "tenth": "share of the first loss left that all but a tenth of the starts stay below; blank: lost",
            },
        ),
    },
    "CarryOver": {
        "runs": Table(
            "one training run on another task",
            {
                "student": "recurrence: dense, block or lru",
                "seed": "of the start, the data and, of the tanh task, the teacher (modulo 32)",
                "other_rate": "learning rate of all other parameters",
                "parameters": "how many real numbers the network has",
                "states": "units of the recurrence",
                "loss": "test loss: mean squared error, or cross-entropy in nats; blank: diverged",
                "zero_loss": "test loss of the best constant answer; of the tanh task, of zero",
                "error": "share of wrong answers in the test; blank where there are no classes",
                "train_loss": "mean training loss over the last tenth of the steps",
            },
        )
    },
    "FixedPoles": {
        "runs": Table(
            "the best readout of fixed eigenvalues for a teacher, on a window of 300 steps",
            {
                "design": "how the eigenvalues are chosen, a key of rnnlib.lab.readouts.DESIGNS",
                "width": "units; each stands for an eigenvalue and its conjugate",
                "loss_12": "population loss left over that of the output zero; singular values below 1e-12 count as 0",
                "loss_6": "the same, below 1e-6",
                "loss_3": "the same, below 1e-3",
                "weights": "norm of the readout's weights, cutoff 1e-6",
            },
        ),
        "endless": Table(
            "the same on an infinite window, in closed form",
            {
                "design": "how the eigenvalues are chosen, a key of rnnlib.lab.readouts.DESIGNS",
                "width": "units; each stands for an eigenvalue and its conjugate",
                "loss": "population loss left over that of the output zero",
            },
        ),
    },
    "History": {
        "runs": Table(
            "a run after some of its steps; numbers are over its recurrent parameters",
            {
                "beta2": "Adam's",
                "ratio": "log10 of sqrt(v) over the root mean square of fresh gradients, median",
                "ratio_low": "the same, tenth percentile",
                "ratio_high": "the same, ninetieth percentile",
                "root_v": "log10 of sqrt(v), median; v bias-corrected",
                "moment": "log10 of the root mean square of fresh gradients, median",
                "first_hundredth": "share of v that stems from the first hundredth of all steps, median, 0 to 1",
                "first_tenth": "share of v that stems from the first tenth of all steps, median, 0 to 1",
                "noise": "share of the mean square of fresh gradients that is variance, 0 to 1",
                "loss": "log10 of the loss on fresh minibatches over that of the output zero; blank: diverged",
            },
        )
    },
    "LongInputs": {
        "runs": Table(
            "linear units with one memory on a group of inputs",
            {
                "input": "name of the text or series; of noise, the power beta of its spectrum",
                "embedding": "of a text: minilm, cooccurrence or random; noise or series for what is none",
                "centred": "True: the mean embedding is subtracted",
                "memory": "1 / (1 - lambda), steps",
                "R(0)": "mean square of the inputs, by which the next two are divided",
                "state": "mean square of the state",
                "sensitivity": "mean square of (1 - lambda) times the state's derivative by lambda",
            },
        ),
        "lags": Table(
            "a group of sequences of a text",
            {
                "input": "name of the text",
                "embedding": "minilm, cooccurrence or random",
                "mean_square": "mean square of the group's mean embedding",
                "lag 0": "R(0), not centred",
                "lag 1": "R(1)",
                "lag 50": "R(50)",
                "lag 510": "R(510)",
            },
        ),
        "files": Table(
            "a file that was read",
            {
                "input": "name of the series",
                "file": "where it lies in the package that has it",
                "sha256": "first digits of its checksum",
                "sequences": "how many it gives",
                "steps": "of each",
            },
        ),
    },
    "MovingGates": {
        "runs": Table(
            "a group of units or a layer on white inputs",
            _GATED | {"gates": "what moves the gates, of rnnlib.lab.experiments.moving_gates.GATES"},
        )
    },
    "Orthogonality": {
        "runs": Table(
            "a run between two steps: means of every tenth update of the recurrent parameters",
            {
                "step": "the last of these steps",
                "cv": "coefficient of variation of the update's singular values, mean over parameters",
                "cv_numbers": "the same with each real number as a matrix of its own",
                "cv_eigenvalues": "the same of the moduli by which eigenvalues move; blank: a dense matrix",
            },
        ),
        "losses": Table("one training run", {}),
    },
    "Plateaus": {
        "runs": Table(
            "a dense student where its training ends; blank: diverged",
            {
                "loss": "log10 of the population loss over that of the output zero",
                "gradient": "log10 of the gradient's norm over that after the first stored step",
                "reached_2": "share of the loss along curvatures of 1e-2 of the largest and more, 0 to 1",
                "reached_4": "the same, 1e-4",
                "reached_6": "the same, 1e-6",
                "reached_8": "the same, 1e-8",
                "reached_10": "the same, 1e-10",
                "reached_12": "the same, 1e-12",
                "largest": "largest eigenvalue of the Hessian",
                "smallest": "smallest eigenvalue of the Hessian",
                "along_gradient": "curvature along the gradient",
                "escape": "decades that the loss falls along the eigenvector of the smallest",
                "newton": "log10 of the loss over that of the output zero, after Gauss-Newton has gone on",
                "lacking": "share of the loss that modes far from all of the student's eigenvalues explain, 0 to 1",
            },
        ),
        "curves": Table(
            "a run after some of its steps",
            {
                "loss": "log10 of the population loss over that of the output zero",
                "gradient": "log10 of the gradient's norm",
            },
        ),
        "modes": Table(
            "a mode of the teacher, at the end of a run",
            {
                "mode": "number, from the largest share",
                "share": "of the energy of the teacher's response, 0 to 1",
                "distance": "of the nearest eigenvalue of the student, over 1 - modulus",
                "missing": "how much of the mode the student lacks: 1 all, 0 nothing",
            },
        ),
        "eigenvalues": Table(
            "an eigenvalue of the student, at the end of a run",
            {"number": "from the largest modulus, upper half plane"},
        ),
    },
    "Precision": {
        "runs": Table(
            "states of the Triton kernels with one place rounded to float32",
            {
                "lam": "eigenvalues: one a channel, or one a step",
                "single": "what is rounded to float32",
                "strategy": "of the kernels: walk or chunks",
            }
            | _ERRORS,
        ),
        "float64": Table(
            "a kernel compiled for a GPU",
            {
                "device": "the GPU",
                "shape": "batch x time x channels",
                "lam": "eigenvalues: one a channel, or one a step",
                "pass": "forward or backward",
                "kernel": "its name",
                "instructions": "float64 instructions that a warp issues for a tile",
                "cycles": "that they take, of a multiprocessor",
                "memory_cycles": "in which the memory moves what the warp reads and writes there",
            },
        ),
    },
    "Rounding": {
        "runs": Table(
            "states of a backend",
            {"backend": "of rnnlib.linear_scan, or cuda and a strategy", "ran_on": "cpu, interpreter or device"}
            | _ERRORS,
        )
    },
    "StorageTraining": {
        "runs": Table("one training run", {"setting": "the student, and how its recurrent parameters are stored"})
    },
}
TABLES["OneRate"] = {
    "runs": Table(
        "a unit that imitates a teacher of one unit",
        {
            name: TABLES["OneUnit"]["runs"].columns[name]
            for name in ("angle", "memory", "teacher_angle", "teacher", "left")
        }
        | {"steps": "until the loss was a hundredth of the first; -1: never"},
    )
}


def meanings(kind: str, table: str, columns: Sequence[str]) -> dict[str, str]:
    """What each column of a table holds.

    Args:
        kind: of experiment, a key of :data:`TABLES`.
        table: its name.
        columns: of the table.

    Raises:
        KeyError: there is no such table, or a column has no text.
    """
    texts = SHARED | TABLES[kind][table].columns
    return {name: texts[name] for name in columns}
