"""Which losses reach which weights, and whether their gradients fight."""
