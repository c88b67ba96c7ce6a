"""What features say about class and place: zero-shot, a linear probe, a segmentation head."""
