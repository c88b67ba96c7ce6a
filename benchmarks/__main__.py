"""Everything that is measured about speed and memory, in one run, as one file: `make bench`.

    python -m benchmarks [--size reduced] [--rounds 3] [--device cpu]

Writes ``reports/bench/bench.json``: ratios with their spread (lowest and highest round, the two
sides in turns), and a table of throughput; adds the ratios to ``history.jsonl`` beside it and draws
them (``history.png``). Ratios hold across machines; seconds do not. Ten minutes on two cores.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from accelerate import Accelerator

from benchmarks.against_commit import BEFORE, against
from benchmarks.autoencoders import beside
from benchmarks.beside_neighbours import kept_share
from benchmarks.history import append, draw
from benchmarks.measuring import Ratio, matmul_rate, peak_bytes, ratio_in_turns
from benchmarks.release_recipe import ReleaseStep, plain_eager
from benchmarks.sizes import SIZES, Size, random_trainer, scenes
from benchmarks.throughput import Throughput, encode_and_decode, stages
from benchmarks.topology_loss import loss_cost, teacher_pass
from benchmarks.training_step import (
    flushed_denormals,
    outside_the_update,
    routing_costs,
    scenes_a_second,
)
from muse_core import paths
from muse_core.results.records import provenance, write_json

TOKENS = {64: 8, 256: 16, 1024: 32}
"""Student tokens -> side of their grid."""


def topology(rounds: int, device: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Fused against plain: ratios above 1 are in favour of the fused loss."""
    for tokens, side in TOKENS.items():
        cost = loss_cost(side, side, rounds, device)
        yield (
            f"fused_topology_memory_ratio_{tokens}",
            spread(Ratio(cost.memory, cost.memory, cost.memory, cost.megabytes)),
        )
        yield f"fused_topology_speed_ratio_{tokens}", spread(cost.time.inverse)


def step_against_release(
    size: Size, stage: str, batch_size: int, accelerator: Accelerator, rounds: int
) -> Ratio:
    """A whole step of ours against the release's recipe: how many times faster."""
    ours = random_trainer(size, stage, accelerator)
    theirs = ReleaseStep(random_trainer(size, stage, accelerator, routing="release"))
    batch = scenes(size, batch_size, accelerator.device)
    device = accelerator.device.type
    return ratio_in_turns(
        lambda: ours.update(batch, 100), lambda: theirs.update(batch), rounds, device
    ).inverse


def step_against_eager(
    size: Size, stage: str, batch_size: int, accelerator: Accelerator, rounds: int
) -> Ratio:
    """The same step with every attention formed as a map, and L_topo on whole maps."""
    step, batch = (
        random_trainer(size, stage, accelerator),
        scenes(size, batch_size, accelerator.device),
    )

    def eager() -> None:
        with plain_eager(step):
            step.update(batch, 100)

    device = accelerator.device.type
    return ratio_in_turns(lambda: step.update(batch, 100), eager, rounds, device).inverse


def step_memory(
    size: Size, stage: str, batch_size: int, accelerator: Accelerator
) -> dict[str, float]:
    """Peak bytes of one step beyond what lies there, in GB: ours, and the release's recipe."""
    batch, device = scenes(size, batch_size, accelerator.device), accelerator.device.type
    ours = random_trainer(size, stage, accelerator)
    theirs = ReleaseStep(random_trainer(size, stage, accelerator, routing="release"))
    works = {"ours": lambda: ours.update(batch, 100), "release": lambda: theirs.update(batch)}
    for work in works.values():
        work()
    return {name: peak_bytes(work, device) / 1e9 for name, work in works.items()}


def throughputs(
    size: Size, accelerator: Accelerator, rate: float, rounds: int, batches: dict[int, list[int]]
):
    """``batches``: image size -> batch sizes of encode and decode; stages at the
    preset's own size.
    """
    for image_size, counts in batches.items():
        for count in counts:
            yield from encode_and_decode(size.at(image_size), count, accelerator, rate, rounds)
    for count in batches[size.preset.image_size]:
        yield from stages(size, count, accelerator, rate, rounds)


def before(rounds: int) -> dict[str, Any]:
    """Ratios to the commit before steps were made cheaper; none where this copy has no history."""
    try:
        found = against(BEFORE, rounds, torch.get_num_threads())
    except LookupError as error:
        print(f"not compared with an earlier commit: {error}", file=sys.stderr)
        return {}
    return {name: spread(v) if isinstance(v, Ratio) else v for name, v in found.items()}


def spread(ratio: Ratio) -> dict[str, Any]:
    return {
        "value": ratio.median,
        "low": ratio.lowest,
        "high": ratio.highest,
        "sides": list(ratio.seconds),
    }


def table(rows: list[Throughput]) -> str:
    """For reports/LOG.md."""
    lines = [
        "| work | px | batch | images/s | tokens/s | peak GB | share of matmul rate |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.work} | {row.image_size} | {row.batch_size} | {row.images_per_second:.2f} | "
            f"{row.tokens_per_second:.0f} | {row.gigabytes:.2f} | {row.share:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="reduced", choices=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda")
    )
    asked = parser.parse_args()
    on_gpu, rounds = asked.device == "cuda", asked.rounds
    accelerator = Accelerator(cpu=not on_gpu, mixed_precision="bf16" if on_gpu else "no")
    size, batch_size = SIZES[asked.size](), 32 if on_gpu else 4
    rate = matmul_rate(
        asked.device, torch.bfloat16 if on_gpu else torch.float32, 8192 if on_gpu else 1024
    )
    found: dict[str, Any] = {
        "size": size.name,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "matmul_flops_per_second": rate,
        "provenance": asdict(provenance(asked.device)),
    }

    def note(name: str, value: Any) -> None:
        found[name] = value
        print(f"{name}: {value}", file=sys.stderr, flush=True)

    for name, value in topology(rounds, asked.device):
        note(name, value)
    for image_size, name in {
        224: "teacher_capture_speedup",
        448: "teacher_capture_speedup_448",
    }.items():
        note(name, spread(teacher_pass(image_size, rounds, device=asked.device).inverse))
    note(
        "step_speedup_vs_release_recipe",
        spread(step_against_release(size, "02", batch_size, accelerator, rounds)),
    )
    note(
        "step_speedup_vs_plain_eager",
        spread(step_against_eager(size, "02", batch_size, accelerator, rounds)),
    )
    note("step_gigabytes", step_memory(size, "02", batch_size, accelerator))
    for name, ratio in (routing_costs(rounds) | flushed_denormals(rounds)).items():
        note(name, spread(ratio))
    note("scenes_a_second", scenes_a_second(rounds))
    note("fit_outside_the_update", outside_the_update())
    for one in beside(size, batch_size, rounds, accelerator):
        for way in ("encode", "decode"):
            note(f"{way}_speedup_vs_{one.family}", spread(getattr(one, way)))
    if not on_gpu:
        for name, value in before(rounds).items():
            note(name, value)
        for loads in (1, 2):
            kept = kept_share(loads, torch.get_num_threads(), rounds)
            note(f"kept_of_fair_share_beside_{loads}", spread(kept))
    batches = {224: [batch_size], 448: [1]}
    rows = list(throughputs(size, accelerator, rate, rounds, batches))
    found["throughput"] = [asdict(row) for row in rows]
    print(table(rows))
    file = write_json(paths.root() / "reports" / "bench" / "bench.json", found)
    append(found)
    draw()
    print(f"written to {file.relative_to(paths.root())}")


if __name__ == "__main__":
    main()
