"""Merging LoRA adapters in factor form: nothing here ever builds a matrix of the size of a weight."""
