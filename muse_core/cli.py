"""The command line: ``muse run all``, ``muse run 02 -p steps 200``, ``muse train 02``, ``muse
list``, ``muse index``, ``muse gallery``, ``muse study ablations``, ``muse watch tiny``, ``muse
shards``."""

import argparse
import math
import sys
from typing import Any, NoReturn

from muse_core import paths
from muse_core.errors import MuseError

EXAMPLES = """examples:
  muse run all                           every notebook with its defaults (preset smoke, run smoke)
  muse run all -p preset tiny            the tiny preset, into reports/tiny
  muse run 02 --run wide -p steps 200    one notebook, into reports/wide
  muse list                              notebooks and their parameters
  muse gallery --run tiny                that run as reports/gallery, light enough to commit
  muse study ablations --jobs 2          every run that the study still lacks, two at a time
  muse watch tiny                        how far a run is that another process trains
  muse shards pets:PATH --into shards    that source as tar shards, which wds:shards reads
  muse shards --verify shards            their checksums
"""


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command with one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"muse: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog="muse",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(
        dest="command", required=True, metavar="{run,train,study,watch,shards,index,gallery,list}"
    )
    run = commands.add_parser("run", help="execute notebooks and write their pages")
    run.add_argument(
        "notebooks",
        nargs="+",
        metavar="NOTEBOOK",
        help="all, a number (02) or a name (02_semantic_...)",
    )
    run.add_argument(
        "--run", help="name of the run: its folder in reports/ (default: the preset, else smoke)"
    )
    run.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    run.add_argument("--force", action="store_true", help="run even what is up to date")
    train = commands.add_parser(
        "train", help="train one notebook's stage without it; for torchrun and accelerate launch"
    )
    train.add_argument(
        "notebook", metavar="NOTEBOOK", help="a number (02) or a name (02_semantic_...)"
    )
    train.add_argument("--run", help="name of the run (default: the preset, else smoke)")
    train.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    study = commands.add_parser("study", help="execute the runs of a study that are not done")
    study.add_argument("study", metavar="STUDY", help="a YAML file, or the name of one in studies/")
    study.add_argument(
        "--jobs", type=int, default=0, help="runs at a time (default: one a core, 8 at most)"
    )
    study.add_argument("--force", action="store_true", help="run even what is done")
    study.add_argument("--list", action="store_true", help="only say how far the study is")
    watch = commands.add_parser("watch", help="follow a run that another process trains")
    watch.add_argument("run", metavar="RUN", help="name of the run")
    watch.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        help="how long at most (default: until its stages end)",
    )
    commands.add_parser("index", help="write reports/index.html again")
    gallery = commands.add_parser("gallery", help="write reports/gallery from a finished run")
    gallery.add_argument("--run", default="tiny", help="name of the run (default: tiny)")
    gallery.add_argument(
        "--into", default="gallery", choices=tuple(paths.COMMITTED), help="which committed folder"
    )
    shards = commands.add_parser("shards", help="write a data source as tar shards, or verify some")
    shards.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="as in the parameter data: scenes, pets:PATH, ...",
    )
    shards.add_argument("--into", metavar="FOLDER", help="where to write them")
    shards.add_argument(
        "--split", default="all", choices=("all", "train", "val", "test"), help="which split (all)"
    )
    shards.add_argument(
        "--samples-per-shard", type=int, default=1000, metavar="N", help="samples in a shard (1000)"
    )
    shards.add_argument(
        "--limit", type=int, metavar="N", help="at most so many samples of each split"
    )
    shards.add_argument(
        "--image-size", type=int, default=64, metavar="PIXELS", help="of drawn images (64)"
    )
    shards.add_argument(
        "--verify", metavar="FOLDER", help="compare shards with the checksums beside them"
    )
    commands.add_parser("list", help="show the notebooks and their parameters")
    return top


def main(words: list[str] | None = None) -> int:
    """Exit code 0; 1 when a notebook failed; 2 for a mistake in the command; 130 after Ctrl-C."""
    given = parser().parse_args(words)
    try:
        return COMMANDS[given.command](given)
    except MuseError as error:
        print(f"muse: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("muse: interrupted.", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    from muse_core.report import run as pipeline
    from muse_core.report.arguments import choose_notebooks

    parameters = dict(given.parameters)
    tasks = pipeline.plan(
        choose_notebooks(given.notebooks), _run_name(given.run, parameters), parameters
    )
    outcomes = pipeline.run(tasks, force=given.force, say=lambda line: print(line, flush=True))
    last = outcomes[-1]
    if last.error:
        print(f"muse: {last.notebook} stopped: {last.error}", file=sys.stderr)
    return {"failed": 1, "interrupted": 130}.get(last.status, 0)


def _train(given: argparse.Namespace) -> int:
    from muse_core.report.arguments import choose_notebooks
    from muse_core.report.stage_alone import train_alone

    parameters = dict(given.parameters)
    run = _run_name(given.run, parameters)
    record = train_alone(choose_notebooks([given.notebook])[0], run, parameters)
    print(
        f"{run}/{record.stage} trained for {record.steps} steps in {record.processes} processes",
        flush=True,
    )
    return 0


def _run_name(given: str | None, parameters: dict[str, Any]) -> str:
    """``--run``, else ``-p run``, else the preset's name, else "smoke". Raises MuseError when two
    names are given.
    """
    also = parameters.pop("run", None)
    if given and also and given != also:
        raise MuseError(f"The run has two names, --run {given} and -p run {also}: give one.")
    return given or also or parameters.get("preset", "smoke")


def _study(given: argparse.Namespace) -> int:
    from muse_core.report.study import study_named
    from muse_core.report.study_runner import line, run_study, states

    if given.jobs < 0:
        raise MuseError(f"--jobs must be a positive number of runs at a time: got {given.jobs}.")
    study = study_named(given.study)
    if given.list:
        print("\n".join(map(line, states(study))))
        return 0
    found = run_study(
        study, given.jobs, force=given.force, say=lambda words: print(words, flush=True)
    )
    undone = [state for state in found if state.status != "done"]
    print(f"{study.spec.name}: {len(found) - len(undone)} of {len(found)} runs are done")
    for state in undone:
        print(f"muse: {line(state)}", file=sys.stderr)
    return 1 if undone else 0


def _watch(given: argparse.Namespace) -> int:
    from muse_core.report.watch import watch

    watch(given.run, given.seconds)
    return 0


def _index(_: argparse.Namespace) -> int:
    from muse_core.report import index

    print(index.write())
    return 0


def _gallery(given: argparse.Namespace) -> int:
    from muse_core.report import gallery

    print(gallery.write(given.run, gallery.SHOWCASES[given.into]))
    return 0


def _shards(given: argparse.Namespace) -> int:
    if given.verify and not given.source and not given.into:
        return _verify(given.verify)
    if not given.source or not given.into or given.verify:
        raise MuseError(
            "Write shards with `muse shards SOURCE --into FOLDER`, or verify some with `muse shards --verify FOLDER`."
        )
    from muse_core.data.shard_writer import write_shards
    from muse_core.data.sources import open_source
    from muse_core.data.splits import SPLITS

    splits = SPLITS if given.split == "all" else (given.split,)
    sources = {split: open_source(given.source, split, given.image_size) for split in splits}
    into = paths.user_path(given.into)
    written = write_shards(
        given.source, sources, into, given.image_size, given.samples_per_shard, given.limit
    )
    samples = sum(shard.samples for shard in written.shards.values())
    print(
        f"{samples:,} samples in {len(written.shards):,} shards, {len(written.skipped)} left out: use wds:{into}"
    )
    for reason in written.skipped:
        print(f"left out: {reason}", file=sys.stderr)
    return 0


def _verify(folder: str) -> int:
    from muse_core.data.manifest import wrong_checksums

    notes = wrong_checksums(paths.user_path(folder))
    print(
        "\n".join(f"muse: {note}" for note in notes) or "every shard is as it was written",
        file=sys.stderr if notes else None,
    )
    return 1 if notes else 0


def _list(_: argparse.Namespace) -> int:
    from muse_core.report import arguments, stamps

    for source in arguments.choose_notebooks(["all"]):
        title, _claim = stamps.title_and_claim(stamps.read_notebook(source), source.stem)
        print(f"{source.stem}  {title}")
        for one in arguments.known_parameters(source).values():
            kind = f": {one.type}" if one.type else ""
            print(f"    {one.name}{kind} = {one.default}" + (f"  # {one.help}" if one.help else ""))
    return 0


COMMANDS = {
    "run": _run,
    "train": _train,
    "study": _study,
    "watch": _watch,
    "shards": _shards,
    "index": _index,
    "gallery": _gallery,
    "list": _list,
}


if __name__ == "__main__":
    sys.exit(main())
