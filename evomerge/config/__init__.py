"""From the command line and YAML to checked values: the Hydra side of evomerge."""
