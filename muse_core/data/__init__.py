"""Where images come from: every source yields the same `Batch`, with images in [0, 1]."""
