"""The command line ``muse``: runs notebooks, trains, follows, and writes pages and shards."""

import argparse
import math
import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from muse_core import __version__, paths
from muse_core.errors import MuseError

EXAMPLES = """examples:
  muse new my-workspace                  notebooks to change, and folders for runs and reports
  muse demo                              a short training and the explorer, in under five minutes
  muse run all                           every notebook with its defaults (preset smoke, run smoke)
  muse run all -p preset tiny            the tiny preset, into reports/tiny
  muse run 01 --run wide -p steps 200    one notebook, into reports/wide
  muse doctor                            what is here, and what will work
  muse list                              notebooks and their parameters
  muse gallery --run tiny                that run in reports/gallery, light enough to commit
  muse export tiny                       that run as one zip: pages, records, weights
  muse study decide --jobs 2             every run that the study still lacks, two at a time
  muse compare tiny tiny-shared          both on one page, as run tiny-and-tiny-shared
  muse watch tiny                        how far a run is that another process trains
  muse shards pets:PATH --into shards    that source as tar shards, which wds:shards reads
  muse shards --verify shards            their checksums
  muse look cat.jpg dog.jpg              your pictures through the newest tokenizer, on one page
  muse encode photos --into latents      latents and embeddings of every image of a folder
  muse evaluate some-org/some-vae        any network with the figures of notebook 05
  muse import-release PATH/TO/MUSE-1B    the authors' checkpoint as run release
"""

say = partial(print, flush=True)


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command with one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"muse: {message}; see {self.prog} --help\n")


def _argument(*names: str, **options: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return names, options


RUN = _argument(
    "--run", help="its name (that of the preset, else smoke); one named after a preset is of it"
)
PARAMETERS = _argument(
    "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
)
TOKENIZER = _argument(
    "--tokenizer", default="", metavar="FOLDER_OR_RUN", help="(that of the newest finished run)"
)
DEVICE = _argument("--device", default="auto", help="auto, cpu, cuda or mps (auto)")
NOTEBOOK = "a number (02) or a name (02_semantic_...)"


def parser() -> argparse.ArgumentParser:
    """The commands with their arguments, from the table `COMMANDS`."""
    top = _Parser(
        prog="muse",
        description="Runs notebooks, trains, follows, and writes pages and shards.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"muse {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    for name, (_, words, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=words)
        for names, options in arguments:
            command.add_argument(*names, **options)
    return top


def main(words: list[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0; 1 when a notebook failed; 2 for a mistake in the command; 130 after Ctrl-C; 141 when the
        reader of a pipe went away.
    """
    words = sys.argv[1:] if words is None else words
    if not words:
        parser().print_help()
        return 0
    given = parser().parse_args(words)
    try:
        code = COMMANDS[given.command][0](given)
        sys.stdout.flush()
        return code
    except MuseError as error:
        print(f"muse: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "muse_core":
            raise
        extras = "pip install 'muse-workspace[notebooks,train]'"
        print(f"muse: this needs {error.name}, which is not installed: {extras}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("muse: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain: let it write to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(given: argparse.Namespace) -> int:
    from muse_core.report import run as pipeline
    from muse_core.report.arguments import choose_notebooks

    parameters = dict(given.parameters)
    run, notebooks = _run_name(given.run, parameters), choose_notebooks(given.notebooks)
    tasks = pipeline.plan(notebooks, run, _with_preset(run, parameters, notebooks))
    last = pipeline.run(tasks, force=given.force, fresh=given.fresh, say=say)[-1]
    if last.error:
        print(f"muse: {last.notebook} stopped: {last.error}", file=sys.stderr)
    return {"failed": 1, "interrupted": 130}.get(last.status, 0)


def _new(given: argparse.Namespace) -> int:
    from muse_core.report.workspace import new_workspace

    folder = new_workspace(paths.new_path(given.folder))
    say(f"{folder} is a workspace: go there, and begin with `muse demo`")
    return 0


def _demo(_: argparse.Namespace) -> int:
    from muse_core.report.demo import demo

    demo(say)
    return 0


def _lab(given: argparse.Namespace) -> int:
    """Becomes JupyterLab."""
    import jupyterlab

    folder = paths.notebooks()
    settings = [str(folder / ".jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, settings))
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    words = [sys.executable, "-m", jupyterlab.__name__, str(folder), *given.options]
    os.execv(sys.executable, words)


def _compare(given: argparse.Namespace) -> int:
    from muse_core.report.stamps import COMPARISON

    if given.a == given.b:
        raise MuseError(f"Both runs are {given.a!r}: name two, `muse compare A B`.")
    trained = {run: _trained_with(run) for run in (given.a, given.b)}
    asked = trained[given.a] | dict(given.parameters)
    for name, value in trained[given.b].items():
        if value != asked.get(name):
            both = f"both are looked at with {asked[name]!r}"
            say(f"{given.b} was trained with {name} {value!r}; {both}")
    given.run = given.run or f"{given.a}-and-{given.b}"
    given.notebooks = [str(paths.notebooks() / "studies" / COMPARISON)]
    given.parameters = [*asked.items(), ("a", given.a), ("b", given.b)]
    given.fresh = False
    return _run(given)


def _trained_with(run: str) -> dict[str, str]:
    """Preset, overrides and data of a run's first stage. Raises MuseError where none is trained."""
    from muse_core.results.records import read_json

    records = sorted(paths.records_folder(paths.check_run_name(run)).glob("stage[0-9].json"))
    if not records:
        raise MuseError(f"Run {run!r} has no finished stage: `muse run 01 --run {run}` trains one.")
    record = read_json(records[0])
    return {name: record.get(name, "") for name in ("preset", "overrides", "data")}


def _train(given: argparse.Namespace) -> int:
    """What `torchrun` and `accelerate launch` start in every process."""
    from muse_core.config.overrides import load_preset
    from muse_core.config.parameters import StageParameters
    from muse_core.report.arguments import choose_notebooks, parameter_values
    from muse_core.training.stage_run import StageRun

    parameters = dict(given.parameters)
    run, notebook = _run_name(given.run, parameters), choose_notebooks([given.notebook])[0]
    parameters = _with_preset(run, parameters, [notebook])
    values = parameter_values(notebook, parameters) | {"run": run}
    stages = load_preset(values.get("preset", "smoke")).curriculum
    if notebook.stem not in (names := [stage.name for stage in stages]):
        raise MuseError(f"{notebook.stem} trains no stage: choose one of {', '.join(names)}.")
    checked = StageParameters.check(**values)
    opened = StageRun(stage=notebook.stem, **checked.model_dump()).open()
    _say_unused(opened.train.notes)
    record = opened.trainer().fit().record
    many = f"{record.steps} steps in {record.processes} processes"
    say(f"{run}/{record.stage} trained for {many}")
    if record.other_data:
        say(f"{run}/{record.stage} was {record.other_data}")
    return 0


def _say_unused(notes: Iterable[str]) -> None:
    """What data holds and is not used; of several processes, the first says it."""
    if os.environ.get("RANK", "0") == "0":
        print("".join(f"not used: {note}\n" for note in notes), end="", file=sys.stderr)


def _run_name(given: str | None, parameters: dict[str, Any]) -> str:
    """``--run``, else ``-p run``, else the preset's name, else "smoke". Raises
    MuseError for two.
    """
    also = parameters.pop("run", None)
    if given and also and given != also:
        raise MuseError(f"The run has two names, --run {given} and -p run {also}: give one.")
    return given or also or Path(parameters.get("preset", "smoke")).stem


def _with_preset(run: str, parameters: dict[str, Any], notebooks: list[Path]) -> dict[str, Any]:
    """A run that is named after a preset is of that preset, unless another is given."""
    from muse_core.config.presets import PRESETS
    from muse_core.report.arguments import known_parameters

    known = [known_parameters(each) for each in notebooks] if run in PRESETS else []
    defaults = {each["preset"].default for each in known if "preset" in each}
    return {"preset": run} | parameters if defaults - {repr(run)} else parameters


def _study(given: argparse.Namespace) -> int:
    from muse_core.report.study import run_study, states, study_named

    if given.jobs < 0:
        raise MuseError(f"--jobs must be a positive number of runs at a time: got {given.jobs}.")
    study = study_named(given.study)
    if given.list:
        say("\n".join(map(str, states(study))))
        return 0
    found = run_study(study, given.jobs, force=given.force, say=say)
    undone = [state for state in found if state.status != "done"]
    say(f"{study.spec.name}: {len(found) - len(undone)} of {len(found)} runs are done")
    for state in undone:
        print(f"muse: {state}", file=sys.stderr)
    return 1 if undone else 0


def _watch(given: argparse.Namespace) -> int:
    from muse_core.report.watch import watch

    watch(given.run, given.seconds)
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from muse_core.report.doctor import examine

    found = examine()
    say(found)
    return 0 if any(preset.works for preset in found.presets) else 1


def _index(_: argparse.Namespace) -> int:
    from muse_core.report import index

    say(index.write())
    return 0


def _gallery(given: argparse.Namespace) -> int:
    from muse_core.report import gallery

    say(gallery.write(given.run, given.into))
    return 0


def _export(given: argparse.Namespace) -> int:
    from muse_core.report.export import export

    say(export(given.run, given.into, given.partial))
    return 0


def _shards(given: argparse.Namespace) -> int:
    if given.verify and not given.source and not given.into:
        return _verify(given.verify)
    if not given.source or not given.into or given.verify:
        raise MuseError(
            "Write shards with `muse shards SOURCE --into FOLDER`, "
            "or verify some with `muse shards --verify FOLDER`."
        )
    from muse_core.data.shard_writer import write_shards
    from muse_core.data.sources import open_source
    from muse_core.data.splits import SPLITS

    splits = SPLITS if given.split == "all" else (given.split,)
    sources = {split: open_source(given.source, split, given.image_size) for split in splits}
    _say_unused(dict.fromkeys(note for source in sources.values() for note in source.notes))
    into = paths.user_path(given.into)
    written = write_shards(
        given.source, sources, into, given.image_size, given.samples_per_shard, given.limit
    )
    samples = sum(shard.samples for shard in written.shards.values())
    counts = f"{len(written.shards):,} shards, {len(written.skipped)} left out"
    say(f"{samples:,} samples in {counts}: use wds:{into}")
    for reason in written.skipped:
        print(f"left out: {reason}", file=sys.stderr)
    return 0


def _verify(folder: str) -> int:
    from muse_core.data.shard_manifest import wrong_checksums

    notes = wrong_checksums(paths.user_path(folder))
    for note in notes:
        print(f"muse: {note}", file=sys.stderr)
    if not notes:
        say("every shard is as it was written")
    return 1 if notes else 0


def _look(given: argparse.Namespace) -> int:
    from muse_core.data.own_files import own_file

    for word in given.images:
        own_file(word)
    from muse_core.report.look import look
    from muse_core.training.named_tokenizer import named_tokenizer

    into = paths.user_path(given.into) if given.into else None
    options = (given.preset, given.words, given.fit, given.device)
    named = _said(named_tokenizer(given.tokenizer), given.tokenizer)
    say(look(given.images, named, into, *options))
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    from muse_core.config.overrides import load_preset
    from muse_core.data.own_files import own_data
    from muse_core.evaluation.network_place import network_place

    place, preset = network_place(given.location), load_preset(given.preset)
    if given.images < 0 or given.images == 1:
        raise MuseError(f"--images must be 2 or more images: got {given.images}.")
    data = own_data(given.data)
    from muse_core.report.evaluate_command import evaluate_network, of_images

    options = (data, given.split, given.seed, given.device)
    aside = partial(print, file=sys.stderr)
    found = evaluate_network(place, of_images(preset, given.images), *options, aside)
    say(f"{found.table}\n{found.file}")
    return 0


def _said(named: Any, given: str) -> Any:
    """A tokenizer that nobody named is said."""
    if not given:
        print(f"with {named}, the newest; --tokenizer names another", file=sys.stderr)
    return named


def _encode(given: argparse.Namespace) -> int:
    folder = paths.user_path(given.folder)
    if not folder.is_dir():
        raise MuseError(f"There is no folder {folder}: give the path of a folder with images.")
    from muse_core.generation.encoded_folder import encode_folder, read_manifest
    from muse_core.training.distributed import device_for
    from muse_core.training.named_tokenizer import named_tokenizer

    named = _said(named_tokenizer(given.tokenizer), given.tokenizer)
    into = paths.user_path(given.into)
    before = read_manifest(into)
    written = encode_folder(
        folder,
        into,
        named.load(device_for(given.device)),
        named.fingerprint,
        given.format,
        given.batch_size,
        given.images_per_shard,
        given.workers,
    )
    done = ", as they were already" if written == before else ""
    say(f"{written.encoded:,} of {written.listed:,} images by {named}{done}: {into}")
    for note in (*written.not_used, *written.unreadable.values()):
        print(f"not encoded: {note}", file=sys.stderr)
    return 0


def _import_release(given: argparse.Namespace) -> int:
    from muse_core.models.release_checkpoint import import_release
    from muse_core.training.imported_run import destination, keep_imported

    folder, run = destination(given.into)
    imported = import_release(given.folder)
    keep_imported(imported, folder, run)
    if imported.left_out:
        print(f"left out: {len(imported.left_out)} weights of their teacher", file=sys.stderr)
    say(f"tokenizer in {folder}, routing release")
    if run:
        say(f"look at it: muse run 04 05 --run {run} -p preset muse-release")
    return 0


def _list(_: argparse.Namespace) -> int:
    from muse_core.config.overrides import SHORTHANDS
    from muse_core.report.arguments import choose_notebooks, known_parameters
    from muse_core.report.stamps import read_notebook, title_and_claim

    for source in choose_notebooks(["all"]):
        say(f"{source.stem}  {title_and_claim(read_notebook(source), source.stem)[0]}")
        for one in known_parameters(source).values():
            kind = f": {one.type}" if one.type else ""
            say(f"    {one.name}{kind} = {one.default}" + (f"  # {one.help}" if one.help else ""))
    say(
        "Set one with -p NAME VALUE; any field of a preset with -p overrides "
        f"'weights.topology=2', and these by their own names: {', '.join(SHORTHANDS)}"
    )
    return 0


COMMANDS = {
    "new": (
        _new,
        "make a workspace: notebooks to change, folders for runs and reports",
        [_argument("folder", metavar="FOLDER", help="absent or empty")],
    ),
    "demo": (_demo, "a short training, its headline figures, and the explorer", []),
    "lab": (
        _lab,
        "JupyterLab on the notebooks",
        [_argument("options", nargs="*", metavar="OPTION", help="for JupyterLab, after --")],
    ),
    "run": (
        _run,
        "execute notebooks and write their pages",
        [
            _argument("notebooks", nargs="+", metavar="NOTEBOOK", help=f"all, {NOTEBOOK}"),
            RUN,
            PARAMETERS,
            _argument("--force", action="store_true", help="make pages again; train nothing anew"),
            _argument("--fresh", action="store_true", help="make pages again and train again"),
        ],
    ),
    "train": (
        _train,
        "train one notebook's stage without it; for torchrun and accelerate launch",
        [_argument("notebook", metavar="NOTEBOOK", help=NOTEBOOK), RUN, PARAMETERS],
    ),
    "study": (
        _study,
        "execute the runs of a study that are not done",
        [
            _argument("study", metavar="STUDY", help="a YAML file, or the name of one in studies/"),
            _argument("--jobs", type=int, default=0, help="runs at a time (one a core, 8 at most)"),
            _argument("--force", action="store_true", help="train and measure all of it again"),
            _argument("--list", action="store_true", help="only say how far the study is"),
        ],
    ),
    "compare": (
        _compare,
        "put two runs side by side on one page",
        [
            _argument("a", metavar="RUN_A", help="name of the first run"),
            _argument("b", metavar="RUN_B", help="name of the second"),
            _argument("--run", default="", help="name of the page's run (default: A-and-B)"),
            PARAMETERS,
            _argument("--force", action="store_true", help="make the page again"),
        ],
    ),
    "watch": (
        _watch,
        "follow a run that another process trains",
        [
            _argument("run", metavar="RUN", help="name of the run"),
            _argument(
                "--seconds", type=float, default=math.inf, help="how long (until its stages end)"
            ),
        ],
    ),
    "shards": (
        _shards,
        "write a data source as tar shards, or verify some",
        [
            _argument("source", nargs="?", metavar="SOURCE", help="scenes, pets:PATH, ..."),
            _argument("--into", metavar="FOLDER", help="where to write them"),
            _argument("--split", default="all", choices=("all", "train", "val", "test")),
            _argument("--samples-per-shard", type=int, default=1000, metavar="N", help="(1000)"),
            _argument("--limit", type=int, metavar="N", help="samples of each split, at most"),
            _argument("--image-size", type=int, default=64, metavar="PIXELS", help="if drawn (64)"),
            _argument("--verify", metavar="FOLDER", help="compare shards with their checksums"),
        ],
    ),
    "doctor": (_doctor, "say what is installed and found here, and what will work", []),
    "look": (
        _look,
        "show pictures of your own through a tokenizer, on one page",
        [
            _argument("images", nargs="+", metavar="IMAGE", help="a path, or cat, coffee, ..."),
            TOKENIZER,
            _argument("--preset", default="", help="what it was trained with, if no run says so"),
            _argument("--words", default="", help="to compare with, commas between"),
            _argument("--fit", default="", help="crop or pad to a square (as the tokenizer says)"),
            _argument("--into", default="", metavar="FOLDER", help="(reports/look)"),
            DEVICE,
        ],
    ),
    "encode": (
        _encode,
        "write latents and embeddings of every image of a folder",
        [
            _argument("folder", metavar="FOLDER", help="images in it and below"),
            _argument("--into", required=True, metavar="FOLDER", help="where to write"),
            TOKENIZER,
            _argument("--format", default="safetensors", choices=("safetensors", "parquet")),
            _argument("--batch-size", type=int, default=32, metavar="N", help="(32)"),
            _argument("--images-per-shard", type=int, default=1024, metavar="N", help="(1024)"),
            _argument("--workers", type=int, default=0, metavar="N", help="that read images (0)"),
            DEVICE,
        ],
    ),
    "evaluate": (
        _evaluate,
        "measure one network, of a folder or the hub, with the protocol of notebook 05",
        [
            _argument("location", metavar="LOCATION", help="a folder, run, OWNER/NAME, timm:NAME"),
            _argument("--data", default="scenes", metavar="SOURCE", help="pets:PATH, ... (scenes)"),
            _argument("--preset", default="tiny", help="whose frozen networks judge (tiny)"),
            _argument(
                "--images",
                type=int,
                default=0,
                metavar="N",
                help="measured, and the probes' in proportion (as preset)",
            ),
            _argument("--split", default="test", choices=("val", "test", "verdict")),
            _argument("--seed", type=int, default=0, help="of probes and intervals (0)"),
            DEVICE,
        ],
    ),
    "import-release": (
        _import_release,
        "turn the authors' released checkpoint into a tokenizer",
        [
            _argument("folder", metavar="FOLDER", help="holds their pytorch_model.bin"),
            _argument(
                "--into",
                default="release",
                metavar="RUN_OR_FOLDER",
                help="name of a run, or a folder (run release)",
            ),
        ],
    ),
    "index": (_index, "write reports/index.html again", []),
    "gallery": (
        _gallery,
        "put a finished run into reports/gallery",
        [
            _argument("--run", default="tiny", help="name of the run (default: tiny)"),
            _argument("--into", default="", metavar="NAME", help="as the study of this name"),
        ],
    ),
    "export": (
        _export,
        "pack pages, records and weights of a run into one zip",
        [
            _argument("run", metavar="RUN", help="name of the run"),
            _argument("--into", default="", metavar="FILE", help="(reports/RUN.zip)"),
            _argument("--partial", action="store_true", help="what is there of an unfinished run"),
        ],
    ),
    "list": (_list, "show the notebooks and their parameters", []),
}
"""Command -> what does it, what it is for, its arguments."""


if __name__ == "__main__":
    sys.exit(main())
