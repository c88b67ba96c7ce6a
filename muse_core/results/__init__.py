"""What a run writes down and others read: JSON records, metrics, measurements, tensors in files."""
