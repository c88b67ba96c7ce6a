"""What is trained, as data: stages, curricula, sizes, presets, and how any field is overridden."""
