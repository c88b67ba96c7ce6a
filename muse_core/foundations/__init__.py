"""Pretrained networks, each behind one small interface that takes images in [0, 1] and normalises
once, inside.
"""
