"""How much each design choice costs, as ratios within one run (absolute times depend on the
machine).

    python benchmarks/training_step.py [--preset tiny] [--rounds 15]

Compares, alternating between the two sides of each ratio:
  routing   a training step with routing="orthogonal"    against  routing="shared"
  trunk     a step of stage 3 with routing="trunk-routed" against routing="orthogonal"
  data      scenes drawn per second
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from muse_core.config.overrides import load_preset
from muse_core.data.scenes import Scenes
from muse_core.models.assembly import assemble_tokenizer
from muse_core.training.distributed import accelerator_for
from muse_core.training.teachers import load_teachers
from muse_core.training.tokenizer_task import TokenizerTask


def medians(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each side, measured in turns after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_number in range(rounds + 1):
        for name, work in sides.items():
            began = time.perf_counter()
            work()
            if round_number:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def training_step(
    preset_name: str, routing: str, stage: str = "02_semantic_injection", batch_size: int = 32
) -> Callable[[], object]:
    """One update of a stage; the second has every loss but the adversarial one."""
    preset = load_preset(preset_name, f"routing={routing}")
    accelerator = accelerator_for("auto")
    teachers = load_teachers(preset, accelerator.device)
    torch.manual_seed(0)
    tokenizer = assemble_tokenizer(preset, teachers.text.width)
    trainer = TokenizerTask(tokenizer, preset.curriculum[stage], teachers, None, accelerator)
    batch = Scenes("train", preset.image_size).first(batch_size).to(accelerator.device)
    return lambda: trainer.update(batch, 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()

    seconds = medians(
        {name: training_step(asked.preset, name) for name in ("orthogonal", "shared")}, asked.rounds
    )
    print(
        f"training step: orthogonal {seconds['orthogonal']:.3f} s, shared {seconds['shared']:.3f} s, "
        f"orthogonal / shared = {seconds['orthogonal'] / seconds['shared']:.2f}"
    )

    third = {
        name: training_step(asked.preset, name, "03_synergistic_tuning")
        for name in ("orthogonal", "trunk-routed")
    }
    seconds = medians(third, asked.rounds)
    print(
        f"step of stage 3: trunk-routed {seconds['trunk-routed']:.3f} s, orthogonal {seconds['orthogonal']:.3f} s, "
        f"trunk-routed / orthogonal = {seconds['trunk-routed'] / seconds['orthogonal']:.2f}"
    )

    scenes = Scenes("train")
    second = medians({"scenes": lambda: scenes.__getitems__(list(range(256)))}, asked.rounds)[
        "scenes"
    ]
    print(f"scenes: {256 / second:,.0f} a second")


if __name__ == "__main__":
    main()
