"""The README.md beside a saved tokenizer: what it is, how it was trained, how to load it."""

from pathlib import Path

from muse_core.training.stage_record import StageRecord

TEMPLATE = """---
library_name: muse_core
tags: [visual-tokenizer, image-reconstruction, zero-shot-image-classification]
---
# MUSE tokenizer after {stage}

A unified visual tokenizer (arXiv 2605.05646): images in [0, 1] -> one latent that a decoder turns
back into pixels and whose semantic stream lives in a text space. Weights are the moving
average of training.

```python
from muse_core.models.tokenizer import MuseTokenizer

tokenizer = MuseTokenizer.from_pretrained("{folder}").eval()
encoding = tokenizer.encode(images)              # .latent, .semantic, .embedding
reconstruction = tokenizer.decode(encoding.latent).sample
```

| | |
|---|---|
| run, preset | {run}, {preset} |
| data | {data} ({data_fingerprint}) |
| routing | {routing} |
| steps x batch | {steps} x {batch_size}, seed {seed} |
| trainable parameters | {trainable_parameters:,} |
| last losses | {last_losses} |
| commit | {commit} ({date}) |

Trained on the data named above and on nothing else; it is as narrow as they are.
"""


def write_model_card(folder: Path, record: StageRecord) -> None:
    """Write ``README.md`` into a tokenizer's folder."""
    last = ", ".join(f"{name} {values['last']:.4g}" for name, values in record.losses.items())
    facts = record.__dict__ | record.provenance.__dict__
    (folder / "README.md").write_text(
        TEMPLATE.format(folder=folder.name, last_losses=last, **facts)
    )
