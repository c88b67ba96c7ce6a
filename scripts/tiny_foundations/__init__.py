"""Stand-ins for the pretrained networks: small enough to train on two cores and to commit
(`data/foundations/tiny`).

The real thing loads InternVL3, DINOv3, DC-AE and CLIP; these have the same classes, sizes apart.
"""
