"""The stages of the merge algebra, each a pure function of tensors."""
