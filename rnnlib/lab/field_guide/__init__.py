"""The curse of memory in today's models: one row a model, with its unit, its source and how its moments grow."""

from .entries import DIRECTIONS, MODELS, Model, get, verdict
from .units import respond

__all__ = ["DIRECTIONS", "MODELS", "Model", "get", "respond", "verdict"]
