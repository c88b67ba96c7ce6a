"""The MUSE tokenizer: synergistic blocks between a visual backbone and a pixel decoder. No model
computes a loss.
"""
