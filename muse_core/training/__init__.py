"""One loop for every stage; stages are data."""
