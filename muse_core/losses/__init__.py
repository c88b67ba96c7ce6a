"""Pure functions of named tensors: a loss owns no network."""
