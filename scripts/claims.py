"""Writes docs/claims.md: every claim of the paper with its verdict, from the kept rows of studies.

python -m scripts.claims
"""

from collections.abc import Collection
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from scipy.stats import false_discovery_control

from muse_core.config.safe_yaml import read_yaml
from muse_core.errors import MuseError, unknown
from muse_core.evaluation.gradients.gradient_geometry import KINDS
from muse_core.evaluation.paired_seeds import FEWEST, PairedDifference, paired_difference
from muse_core.report.kept_rows import KeptRow, read_kept
from muse_core.report.study import study_named
from muse_core.results.measurements import METRICS, SIGNIFICANT
from muse_core.training.gradient_surgery import TASKS

ROOT = Path(__file__).resolve().parents[1]
PAGE, CLAIMS = ROOT / "docs" / "claims.md", ROOT / "docs" / "claims.yaml"
ROWS = ROOT / "reports" / "studies"
LEAD = (
    "# The paper's claims, one by one\n\n"
    "Made from [claims.yaml](claims.yaml) and the kept rows of the studies by "
    "`python -m scripts.claims`; a test holds it true. A difference is a mean over paired seeds "
    "with its 95 % interval by Student's t. **Supported** and **refuted here**: the whole interval "
    "lies beyond, or short of, what is claimed, at a p-value adjusted for all claims that its "
    "study decides (Benjamini and Hochberg, 5 %; claims about gradients, which hardly vary, among "
    "themselves; one not measured yet counts as p = 1). **Cannot be decided here**: neither; the "
    "smallest distance from what is claimed that so many seeds would show four times out of five, "
    'before that correction, stands beside it. "Here" is the drawn '
    "world of preset `tiny`. A verdict without a study was written by hand, with where it is seen. "
    "*Rows of unlike code*: files of the folders that decide a row changed between its runs."
)


class Figure(BaseModel):
    """A figure of a row. ``detail``: paths into the metric's details, "energy/semantics/W_Q", whose
    sum it is, as a share of the sum of those of ``of`` where there are any; ``named``: its words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: str = ""
    metric: str = ""
    detail: list[str] = []
    of: list[str] = []
    named: str = ""

    def of_row(self, kept: KeptRow) -> float | None:
        """None where the row has none."""
        found = kept.row.measurements.get(self.metric)
        if found is None or not self.detail:
            return None if found is None else found.value
        summed = lambda places: sum(_inside(found.details, place) for place in places)
        whole = summed(self.of) if self.of else 1
        return summed(self.detail) / whole if whole else None


def _inside(details: Any, place: str) -> float:
    """A number in nested mappings; 0 for a kind of weight that hears nothing, which has none."""
    for name in place.split("/"):
        details = details.get(name, {})
    return details or 0.0


def _is_place(place: str) -> bool:
    """Whether a path names a number that `mean_cosine` keeps."""
    kept, tasks, kind = [*place.split("/"), "", ""][:3]
    pairs = [", ".join(pair) for pair in combinations(TASKS, 2)]
    known = {"energy": list(TASKS), "absolute": pairs}.get(kept, [])
    return place.count("/") == 2 and tasks in known and kind in KINDS


class Versus(Figure):
    """What a claim's row is compared with: another row (``metric``: of it, where it is another), or
    a number.
    """

    number: float | None = None


class Claim(Figure):
    """One claim. ``margin``: how far beyond the other it has to lie, in the direction it ``wants``;
    negative for "not further behind than". ``family``: its p-value is adjusted with those of
    the same study and family. ``shown`` with ``verdict``: where it is seen without a
    study; ``untested``: why it is not.
    """

    says: str
    where: str
    study: str = ""
    versus: Versus = Versus()
    wants: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    family: str = ""
    shown: str = ""
    verdict: str = ""
    untested: str = ""


def claims() -> list[Claim]:
    """As docs/claims.yaml has them."""
    found: Any = read_yaml(CLAIMS.read_text(encoding="utf-8"))
    try:
        listed = TypeAdapter(list[Claim]).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise MuseError(f"{CLAIMS.name}, claim {where}: {first['msg']}.") from None
    rows = {study: study_named(study).spec.rows for study in {each.study for each in listed} - {""}}
    for claim in listed:
        _check_names(claim, rows.get(claim.study, {}))
    return listed


def _check_names(claim: Claim, rows: Collection[str]) -> None:
    """Raises MuseError for a row or metric that there is none of."""
    for figure in (claim, claim.versus):
        if figure.row and figure.row not in rows:
            raise unknown(f"row of {claim.study} in {CLAIMS.name}", figure.row, rows)
        if figure.metric and figure.metric not in METRICS:
            raise unknown(f"metric in {CLAIMS.name}", figure.metric, METRICS)
        for place in (*figure.detail, *figure.of):
            if not _is_place(place):
                raise unknown(
                    f"detail in {CLAIMS.name}",
                    place,
                    ["energy/TASK/KIND", "absolute/TASK, TASK/KIND"],
                )


def kept_rows(study: str, row: str) -> dict[str, KeptRow]:
    """Seed -> what the repository keeps of it."""
    files = sorted((ROWS / study / "rows").glob(f"{row}.*.json"))
    found = {file.stem.rpartition(".")[2]: read_kept(file) for file in files}
    return {seed: kept for seed, kept in found.items() if kept is not None}


def by_seed(study: str, figure: Figure) -> dict[str, float]:
    """Seed -> the kept figure of a row."""
    values = {seed: figure.of_row(kept) for seed, kept in kept_rows(study, figure.row).items()}
    return {seed: value for seed, value in values.items() if value is not None}


def unlike_code(claim: Claim) -> bool:
    """Whether the rows that are compared were trained or measured by different code."""
    rows = filter(None, (claim.row, claim.versus.row))
    codes = [kept.code for row in rows for kept in kept_rows(claim.study, row).values()]
    return any(code != codes[0] for code in codes)


def difference(claim: Claim) -> PairedDifference | None:
    """The claim's row minus what it is compared with; None below three paired seeds."""
    own, versus = by_seed(claim.study, claim), claim.versus
    if versus.number is None:
        same = versus.model_copy(update={"metric": versus.metric or claim.metric})
        others = by_seed(claim.study, same)
    else:
        others = dict.fromkeys(own, versus.number)
    seeds = sorted(own.keys() & others.keys())
    if len(seeds) < FEWEST:
        return None
    sign = 1 if claim.wants == "higher" else -1
    values = [own[seed] for seed in seeds], [others[seed] for seed in seeds]
    return paired_difference(*values, margin=sign * claim.margin)


def verdict(claim: Claim, found: PairedDifference | None, p: float | None) -> str:
    """In words; ``p`` adjusted."""
    if claim.untested:
        return "not tested"
    if claim.verdict:
        return claim.verdict
    if found is None or p is None:
        return "not measured yet"
    sign = 1 if claim.wants == "higher" else -1
    beyond = sign * found.mean - claim.margin
    if p >= SIGNIFICANT or abs(beyond) < (found.high - found.low) / 2:
        return "cannot be decided here"
    return "supported" if beyond > 0 else "refuted here"


def page() -> str:
    """The whole page."""
    listed = claims()
    found = [difference(claim) if claim.study else None for claim in listed]
    adjusted = _adjusted(listed, found)
    lines = [LEAD, "", "| claim | where | verdict | here | seen in |", "|---|---|---|---|---|"]
    for claim, each, p in zip(listed, found, adjusted, strict=True):
        cells = (claim.says, claim.where, f"**{verdict(claim, each, p)}**", _here(claim, each, p))
        escaped = (cell.replace("|", r"\|") for cell in (*cells, _seen_in(claim)))
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join(lines) + "\n"


def _adjusted(listed: list[Claim], found: list[PairedDifference | None]) -> list[float | None]:
    """Each claim's p-value among those of its study: what another study finds is no help to it."""
    ps: list[float | None] = [None] * len(listed)
    for family in {(claim.study, claim.family) for claim in listed if claim.study}:
        of = [at for at, one in enumerate(listed) if (one.study, one.family) == family]
        plain = [1.0 if (each := found[at]) is None else each.p for at in of]
        for at, p in zip(of, false_discovery_control(plain), strict=True):
            ps[at] = float(p) if found[at] is not None else None
    return ps


def _here(claim: Claim, found: PairedDifference | None, p: float | None) -> str:
    if claim.untested:
        return claim.untested
    if found is None or p is None:
        return "" if claim.study else claim.shown
    kind = METRICS[claim.metric]
    digits = max(1, kind.digits)
    number = lambda value: f"{round(value * kind.scale, digits) + 0.0:+.{digits}f}"
    sign = 1 if claim.wants == "higher" else -1
    unit = {"%": "points"}.get(kind.unit, kind.unit)
    wanted = f" against the {number(sign * claim.margin)} claimed" if claim.margin else ""
    code = "; rows of unlike code" if unlike_code(claim) else ""
    return (
        f"{claim.named or kind.words} {number(found.mean)} {unit} "
        f"({number(found.low)} to {number(found.high)}, {found.n} seeds, {small(p)}{wanted}; "
        f"{number(found.detectable)[1:]} would be seen{code})"
    )


def small(p: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if p < 0.0005 else f"p {p:.3f}"


NOTEBOOKS = {"one_run": "07", "one_system": "09", "one_language": "10", "one_drawing": "10"}
"""What executes a study's rows -> the notebook that shows the study."""


def _seen_in(claim: Claim) -> str:
    if not claim.study:
        return ""
    versus = claim.versus
    other = versus.row if versus.number is None else f"{versus.number:g}"
    words = versus.named or (METRICS[versus.metric].words if versus.metric else "")
    metric = f" ({words})" if words else ""
    shown = NOTEBOOKS[Path(study_named(claim.study).spec.notebook).stem]
    return f"study `{claim.study}`, `{claim.row}` against `{other}`{metric}; notebook {shown}"


if __name__ == "__main__":
    try:
        PAGE.write_text(page())
    except MuseError as error:
        raise SystemExit(f"claims: {error}") from None
    print(PAGE.relative_to(ROOT))
