"""The laboratory: the experiments, measures and claims of one paper, on top of the library, which never imports it."""
