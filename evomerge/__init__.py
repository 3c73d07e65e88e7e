"""evomerge: search for recipes that merge fine-tuned models into a better one."""

__version__ = "0.1.0.dev0"
