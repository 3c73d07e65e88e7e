"""Optimisers: what proposes genomes and learns from losses, behind one ask/tell protocol."""
