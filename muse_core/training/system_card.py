"""The README.md beside a saved system of Table 1: what it is, how it differs from the published
one, how it was trained.
"""

from pathlib import Path

from muse_core.baselines.systems import OWN
from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.results.machine_paths import data_words, without_machine_paths
from muse_core.training.stage_record import StageRecord

CARD = """\
---
library_name: muse_core
tags: [visual-tokenizer, image-reconstruction]
---
# {words}

{about}

```python
from {module} import {kind}

tokenizer = {kind}.from_pretrained("{folder}").eval()
encoded = tokenizer.encode(images)  # (batch, 3, {size}, {size}), RGB in [0, 1]
again = tokenizer.decode(encoded.latent).sample
```

## How it differs from the published system

{departures}

## Training

| | |
|---|---|
| run, stage | {run}, {stage} |
| data | {data} |
| steps x batch | {steps} x {batch}, seed {seed} |
| pretrained parts | {parts} |
| last losses | {losses} |
| commit | {commit} |

One training with one seed.{measure}
"""


def write_system_card(folder: Path, network: VisualTokenizer, record: StageRecord) -> Path:
    """Write ``README.md`` into a system's folder; raises OSError."""
    kind = type(network)
    about = " ".join((kind.__doc__ or "A visual tokenizer.").split())
    departures = kind.departures or ("Nothing is said of it.",)
    ours = kind.__module__.startswith("muse_core.")
    losses = ", ".join(f"{name} {each['last']:.4g}" for name, each in record.losses.items())
    card = CARD.format(
        words=f"{kind.words}, {record.stage}",
        about=about,
        module=kind.__module__.removeprefix(OWN),
        kind=kind.__name__,
        folder=folder.name,
        size=network.config.image_size,
        departures="\n".join(f"- {sentence}" for sentence in departures),
        run=record.run,
        stage=record.stage,
        data=data_words(record.data) or "data of a notebook's own",
        steps=record.steps,
        batch=record.batch_size,
        seed=record.seed,
        parts=", ".join(kind.built_from) or "none",
        losses=losses,
        measure=" `muse evaluate` measures these weights." if ours else "",
        commit=f"{record.provenance.commit} ({record.provenance.date})",
    )
    file = folder / "README.md"
    file.write_text(without_machine_paths(card), encoding="utf-8")
    return file
