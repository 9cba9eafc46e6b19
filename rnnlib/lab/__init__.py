"""The laboratory: the experiments, measures and claims of one paper, on top of the library, which never imports it.

==================  ====================================================================================
systems             linear systems: teachers, random ones, and one system as each of the layers
exact               the exact loss of linear students (``impulse_responses``), for many of them at once
training            many students in lockstep (``protocol``, ``minibatches``; ``lockstep`` takes the steps and says who
                    diverged); ``optimizers``: how they move; ``direct`` trains through time instead
tasks               what networks learn where there is no exact loss; ``through_time``: those networks, stacked
experiments         grids and measurements by name: defining, running, storing, analysing them
results             the stored results that the book shows, as CSV and JSON
claims              what the paper says, how it is measured, and the verdict, a file for each figure
curvature           Hessians of losses; ``dense_sensitivity``: second moments for the entries of a dense matrix;
                    ``descent``: Figure 7's unit learned step by step
rtrl                derivatives of gated layers carried forward in time (real-time recurrent learning)
field_guide         the curse of memory in today's models, one row a model
networks            deep residual stacks; ``text``: the sequences they read
as_printed          expressions of the paper that are wrong, to show by how much
style, interactive  pictures, and charts to play with; ``benchmarks``: stored timings as tables
==================  ====================================================================================
"""
