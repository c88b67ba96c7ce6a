"""What a tokenizer is worth: each file measures one thing and returns a record. No weight is ever
changed.
"""
