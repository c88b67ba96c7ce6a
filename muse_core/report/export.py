"""``muse export RUN``: pages, records and weights of a run in one zip, to hand to somebody else.

    README.md  index.html       what is in it, and the pages at a glance
    <run>/NN_name.html          the pages, interactive without a kernel and a network
    <run>/records/              what was measured
    tokenizer/                  the last finished stage's weights, with their model card

Equal content gives equal bytes, and no file names a folder of the machine it comes from."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from tqdm import tqdm

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.models.upload import loaded_from
from muse_core.report.index import render
from muse_core.report.stamps import executed, sources, state
from muse_core.report.summary import summary
from muse_core.results.machine_paths import without_machine_paths
from muse_core.results.records import whole_file
from muse_core.training.model_card import write_cards

FINISHED = ("done", "stale")
"""A page that is older than its notebook is a whole page."""
TEXT = (".html", ".json", ".jsonl", ".md")
PACKED = (".safetensors", ".png", ".webp")
"""What a zip makes no smaller."""
TOKENIZER = "tokenizer"
SAVED = (
    *("README.md", "config.json", "preprocessor_config.json"),
    *("diffusion_pytorch_model*.safetensors", "diffusion_pytorch_model.safetensors.index.json"),
)
"""What is packed of a tokenizer's folder, which a user may have put other things into."""
LEAD = "Its pages need neither a kernel nor a network."
MARK = b"A run of MUSE, packed by muse export"
"""The zip's comment, by which a later export knows what it may replace."""
PIECE = 1 << 20
"""Bytes that are copied at a time."""


def export(run: str, into: str = "", partial: bool = False) -> Path:
    """Write a run as one zip.

    Args:
        run: Name of the run.
        into: The file, or a folder for RUN.zip; ``reports/RUN.zip`` if empty.
        partial: Take what is there of a run that is not finished.

    Returns:
        The zip.

    Raises:
        MuseError: There is no such run, it is not finished, a record is damaged, or the disk
            refuses.
    """
    report, weights = paths.report_folder(run), last_tokenizer(run)
    if not executed(report) and weights is None:
        raise MuseError(f"There is no run {run!r}: `muse run all --run {run}` makes it.")
    if not partial:
        refuse_unfinished(report, weights)
    target = paths.user_path(into) if into else report.with_name(f"{run}.zip")
    target = target / f"{run}.zip" if target.is_dir() else target
    _refuse_foreign(target)
    write_cards(run)
    files = dict(sorted(_files(report, weights)))
    with whole_file(target) as temporary:
        _write_zip(temporary, files, target.name)
    return target


def _refuse_foreign(target: Path) -> None:
    """Raises MuseError where something stands that no export wrote."""
    if not target.exists():
        return
    with suppress(BadZipFile, OSError), ZipFile(target) as archive:
        if archive.comment == MARK:
            return
    raise MuseError(
        f"{target} is there already and no export of a run: name another file with --into."
    )


def last_tokenizer(run: str) -> Path | None:
    """The folder of the last finished stage's tokenizer; None where no stage is finished."""
    found = paths.stage_tokenizers(paths.run_folder(run))
    return found[-1] if found else None


def refuse_unfinished(report: Path, weights: Path | None) -> None:
    """Raises MuseError unless every numbered notebook has a whole page, and weights are there."""
    states = {source.stem: "missing" for source in sources()}
    states |= {one.stem: state(one) for one in executed(report)}
    absent = [stem[:2] for stem, found in states.items() if found == "missing"]
    wrong = [f"{', '.join(absent)} {'are' if absent[1:] else 'is'} missing"] if absent else []
    others = {stem: found for stem, found in states.items() if found not in (*FINISHED, "missing")}
    wrong += [f"{stem} is {found}" for stem, found in others.items()]
    wrong += ["no stage left a tokenizer"] if weights is None else []
    if wrong:
        raise MuseError(
            f"Run {report.name!r} is not finished, as {', '.join(wrong)}: finish it with "
            f"`muse run all --run {report.name}`, or give what is there with --partial."
        )


def _files(report: Path, weights: Path | None) -> Iterator[tuple[str, Path | bytes]]:
    """Place in the zip -> a file as it is, or the bytes of one that was changed."""
    run = summary(report)
    yield "index.html", _public(render("index.html.j2", [run], title=run.title, lead=LEAD))
    readme = render("export.md.j2", [run], weights=weights and weights.parent.name)
    yield "README.md", _public(readme)
    pages = [page.with_suffix(".html") for page in executed(report)]
    found = [*filter(Path.exists, pages), *report.glob("records/*.json*"), *report.glob("assets/*")]
    for file in found:
        yield f"{report.name}/{file.relative_to(report).as_posix()}", _as_shown(file)
    for file in sorted(chain(*map(weights.glob, SAVED))) if weights else ():
        yield f"{TOKENIZER}/{file.name}", _as_shown(file)


def _as_shown(file: Path) -> Path | bytes:
    if file.suffix not in TEXT:
        return file
    text = file.read_text(encoding="utf-8")
    return _public(loaded_from(text, TOKENIZER) if file.name == "README.md" else text)


def _public(text: str) -> bytes:
    return without_machine_paths(text).encode()


def _write_zip(target: Path, files: Mapping[str, Path | bytes], name: str) -> None:
    """Every file with the same date and rights, whoever exports it and when."""
    sizes = {
        place: len(one) if isinstance(one, bytes) else one.stat().st_size
        for place, one in files.items()
    }
    bar = tqdm(total=sum(sizes.values()), unit="B", unit_scale=True, desc=name, delay=2)
    with bar, ZipFile(target, "w") as archive:
        archive.comment = MARK
        for place, one in files.items():
            about = ZipInfo(place, (1980, 1, 1, 0, 0, 0))
            about.create_system, about.external_attr = 3, 0o644 << 16
            about.compress_type = ZIP_STORED if place.endswith(PACKED) else ZIP_DEFLATED
            about.file_size = sizes[place]
            with archive.open(about, "w") as opened:
                for piece in _pieces(one):
                    opened.write(piece)
                    bar.update(len(piece))


def _pieces(one: Path | bytes) -> Iterator[bytes]:
    if isinstance(one, bytes):
        yield one
        return
    with one.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
