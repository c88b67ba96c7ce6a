"""Parameters of notebooks, given as papermill gives them: to the call in the notebook's setup cell."""

from ast import literal_eval
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from muse_core import paths
from muse_core.config.parameters import FoundationParameters
from muse_core.notebook import begin_stage
from muse_core.report.arguments import known_parameters
from muse_core.report.attention_session import begin_topology
from muse_core.report.evaluation_session import begin_evaluation
from muse_core.report.generation_session import begin_generation
from muse_core.report.study_results import open_study
from muse_core.report.study_run import begin_study_run
from muse_core.report.watch_session import begin_watch
from torture.bad_input import BadInput
from torture.workspace import KEPT


def _begin_foundations(**given: Any) -> None:
    FoundationParameters.check(**given)


BEGINS: dict[str, Callable[..., Any]] = {
    "00_foundations": _begin_foundations,
    "01_topology_warmup": partial(begin_stage, "01_topology_warmup"),
    "02_semantic_injection": partial(begin_stage, "02_semantic_injection"),
    "03_synergistic_tuning": partial(begin_stage, "03_synergistic_tuning"),
    "04_attention_topology": begin_topology,
    "05_evaluation": begin_evaluation,
    "06_gradient_orthogonality": open_study,
    "07_ablations": open_study,
    "08_generation": begin_generation,
    "studies/one_run": begin_study_run,
    "tools/watch": begin_watch,
}
"""Notebook -> what its setup cell calls."""

FOLDER = "is not a folder name"
COUNT = "a positive integer"
CHOOSE = "choose one of"
TEXT = "a text"

GIVEN: tuple[tuple[str, str, Any, str, str], ...] = (
    # notebook, parameter, value, what the answer names, what it says to do
    ("00_foundations", "run", "../../etc", "../../etc", FOLDER),
    ("00_foundations", "train", "perhaps", "perhaps", "true or false"),
    ("00_foundations", "self_distillation", 2, "self_distillation", "true or false"),
    ("00_foundations", "images", 1, "images", "at least 2"),
    ("00_foundations", "images", "lots", "lots", "at least 2"),
    ("00_foundations", "seed", -3, "-3", "zero or a positive integer"),
    ("00_foundations", "steps", [100], "[100]", COUNT),
    ("00_foundations", "pictures", 5, "pictures", "the parameters are run, preset"),
    ("01_topology_warmup", "run", "..", "'..'", FOLDER),
    ("01_topology_warmup", "run", "a/b", "a/b", FOLDER),
    ("01_topology_warmup", "run", "/etc/passwd", "/etc/passwd", FOLDER),
    ("01_topology_warmup", "run", "C:\\runs", "runs", FOLDER),
    ("01_topology_warmup", "run", "", "''", "letters, digits"),
    ("01_topology_warmup", "run", "r" * 10_000, "rrrr", FOLDER),
    ("01_topology_warmup", "run", "two words", "two words", FOLDER),
    ("01_topology_warmup", "run", "run\nname", "name", FOLDER),
    ("01_topology_warmup", "run", "nul\0byte", "nul", FOLDER),
    ("01_topology_warmup", "run", "-rf", "-rf", FOLDER),
    ("01_topology_warmup", "run", ".hidden", ".hidden", FOLDER),
    ("01_topology_warmup", "run", "<script>alert(1)</script>", "<script>", FOLDER),
    ("01_topology_warmup", "run", "$(touch owned)", "$(touch owned)", FOLDER),
    ("01_topology_warmup", "run", "__import__('os').system('true')", "__import__", FOLDER),
    ("01_topology_warmup", "run", "läufe", "läufe", FOLDER),
    ("01_topology_warmup", "run", "gallery", "gallery", "use another"),
    ("01_topology_warmup", "run", 7, "7", TEXT),
    ("01_topology_warmup", "run", None, "run", TEXT),
    ("01_topology_warmup", "preset", "tinny", "tinny", CHOOSE),
    ("01_topology_warmup", "preset", "", "preset", "not empty"),
    ("01_topology_warmup", "preset", "__import__('os')", "__import__", CHOOSE),
    ("01_topology_warmup", "preset", "x" * 5_000, "xxxx", CHOOSE),
    ("01_topology_warmup", "preset", ["tiny"], "tiny", TEXT),
    ("01_topology_warmup", "steps", -1, "-1", COUNT),
    ("01_topology_warmup", "steps", 2.5, "2.5", COUNT),
    ("01_topology_warmup", "steps", True, "steps", COUNT),
    ("01_topology_warmup", "steps", "many", "many", COUNT),
    ("01_topology_warmup", "steps", "exec('1')", "exec", COUNT),
    ("01_topology_warmup", "steps", float("nan"), "nan", COUNT),
    ("01_topology_warmup", "steps", float("inf"), "inf", COUNT),
    ("01_topology_warmup", "steps", 10**30, "steps", "at most"),
    ("01_topology_warmup", "steps", 10**5000, "steps", "at most"),
    ("01_topology_warmup", "steps", {"a": 1}, "steps", COUNT),
    ("01_topology_warmup", "batch_size", -16, "-16", COUNT),
    ("01_topology_warmup", "batch_size", "16 images", "16 images", COUNT),
    ("01_topology_warmup", "batch_size", 10**12, "batch_size", "at most"),
    ("01_topology_warmup", "seed", -1, "-1", "zero or a positive integer"),
    ("01_topology_warmup", "seed", 2**80, "seed", "at most"),
    ("01_topology_warmup", "seed", 0.5, "0.5", "zero or a positive integer"),
    ("01_topology_warmup", "seed", None, "seed", "zero or a positive integer"),
    ("01_topology_warmup", "device", "gpu", "gpu", CHOOSE),
    ("01_topology_warmup", "device", "cuda:7", "cuda:7", CHOOSE),
    ("01_topology_warmup", "device", "", "device", "not empty"),
    ("01_topology_warmup", "device", 0, "device", TEXT),
    ("01_topology_warmup", "resume", "maybe", "maybe", "true or false"),
    ("01_topology_warmup", "resume", 3, "resume", "true or false"),
    ("01_topology_warmup", "routing", "orthogonall", "orthogonall", CHOOSE),
    ("01_topology_warmup", "routing", " ", "routing", "not empty"),
    ("01_topology_warmup", "stepz", 5, "stepz", "the parameters are"),
    ("01_topology_warmup", "__class__", "x", "__class__", "the parameters are"),
    (
        "02_semantic_injection",
        "run",
        "never-warmed-up",
        "never-warmed-up",
        "first execute notebook 01",
    ),
    ("02_semantic_injection", "routing", "shared", "routing", "the same parameters"),
    ("02_semantic_injection", "preset", "muse-9b", "muse-9b", CHOOSE),
    ("02_semantic_injection", "batch_size", 1.5, "1.5", COUNT),
    ("03_synergistic_tuning", "run", KEPT, "02_semantic_injection", "first execute notebook 02"),
    ("03_synergistic_tuning", "device", "tpu", "tpu", CHOOSE),
    ("03_synergistic_tuning", "resume", "ja", "ja", "true or false"),
    ("04_attention_topology", "run", "nobody", "nobody", "first train one"),
    ("04_attention_topology", "images", 65, "65", "0 to 64"),
    ("04_attention_topology", "images", -1, "-1", "0 to 64"),
    ("04_attention_topology", "fit", "stretch", "stretch", "crop or pad"),
    ("04_attention_topology", "resolution", 100, "100", "use 96 or 104"),
    ("04_attention_topology", "resolution", 10**6, "resolution", "at most"),
    ("04_attention_topology", "resolution", -64, "-64", COUNT),
    ("04_attention_topology", "layer", 99, "99", "0 means the last"),
    ("04_attention_topology", "layer", -2, "-2", "a block's number"),
    ("04_attention_topology", "patch", 64, "64", "choose 0 to 63"),
    ("04_attention_topology", "patch", -7, "-7", "a patch's number"),
    ("04_attention_topology", "image", "no-such.jpg", "no-such.jpg", "give a path"),
    ("04_attention_topology", "image", 5, "image", TEXT),
    ("04_attention_topology", "baseline", "../kept", "../kept", FOLDER),
    ("04_attention_topology", "teacher", "timm:resnet18", "resnet18", "a local teacher folder"),
    ("04_attention_topology", "teacher", "timm:no_such_vit", "no_such_vit", "timm.list_models"),
    ("04_attention_topology", "teacher", "timm:local-dir:/tmp", "local-dir", "a model's name"),
    ("05_evaluation", "run", "nobody", "nobody", "first train one"),
    ("05_evaluation", "baseline", "kept/..", "kept/..", FOLDER),
    ("05_evaluation", "train_images", "all", "all", COUNT),
    ("05_evaluation", "train_images", 10**15, "train_images", "at most"),
    ("05_evaluation", "test_images", -5, "-5", COUNT),
    ("05_evaluation", "seed", "lucky", "lucky", "zero or a positive integer"),
    ("05_evaluation", "download", "ask me", "ask me", "true or false"),
    ("05_evaluation", "split", "val", "split", "the parameters are"),
    ("06_gradient_orthogonality", "study", "smok", "smok", CHOOSE),
    ("06_gradient_orthogonality", "jobs", -1, "-1", "runs at a time"),
    ("06_gradient_orthogonality", "jobs", "all", "all", "runs at a time"),
    (
        "06_gradient_orthogonality",
        "study",
        "/etc/passwd",
        "passwd",
        "it needs name, seeds and rows",
    ),
    ("07_ablations", "study", "", "study", "not empty"),
    ("07_ablations", "study", "x" * 4_000, "xxxx", "give a path"),
    ("07_ablations", "device", "quantum", "quantum", CHOOSE),
    ("07_ablations", "jobs", 10**9, "jobs", "at most"),
    ("08_generation", "run", "nobody", "nobody", "first execute notebook"),
    ("08_generation", "tokenizers", "a b", "a b", FOLDER),
    ("08_generation", "tokenizers", "nobody", "nobody", "first execute notebook"),
    ("08_generation", "denoiser", "sana-99b", "sana-99b", CHOOSE),
    ("08_generation", "guidance", -1, "-1", "at least 0"),
    ("08_generation", "guidance", float("inf"), "inf", "at least 0"),
    ("08_generation", "guidance", float("nan"), "nan", "at least 0"),
    ("08_generation", "guidance", "strong", "strong", "at least 0"),
    ("08_generation", "sampling_steps", 0, "0", "at least 1"),
    ("08_generation", "sampling_steps", 10**9, "sampling_steps", "at most"),
    ("08_generation", "drawn", 1.5, "1.5", COUNT),
    ("08_generation", "images", -1, "-1", COUNT),
    ("08_generation", "compare", "some", "some", "true or false"),
    ("studies/one_run", "share", 0, "share", "above 0"),
    ("studies/one_run", "share", 1.5, "1.5", "at most 1"),
    ("studies/one_run", "share", float("nan"), "nan", "above 0"),
    ("studies/one_run", "share", "half", "half", "above 0"),
    ("studies/one_run", "order", "backwards", "backwards", CHOOSE),
    ("studies/one_run", "without", "gravity", "gravity", CHOOSE),
    ("studies/one_run", "anchoring", "rope", "rope", CHOOSE),
    ("studies/one_run", "surgery", "brain", "brain", CHOOSE),
    ("studies/one_run", "geometry_every", -1, "-1", "0 for never"),
    ("studies/one_run", "routing", "sideways", "sideways", CHOOSE),
    ("tools/watch", "run", "nobody", "nobody", "check its name"),
    ("tools/watch", "run", "../kept", "../kept", FOLDER),
    ("tools/watch", "seconds", -1, "-1", "to a week"),
    ("tools/watch", "seconds", float("inf"), "inf", "to a week"),
    ("tools/watch", "seconds", "soon", "soon", "to a week"),
    ("tools/watch", "every", 0, "every", "above 0"),
)


@cache
def defaults(notebook: str) -> dict[str, Any]:
    """The values in a notebook's own parameters cell."""
    source = paths.notebooks() / f"{notebook}.ipynb"
    return {name: literal_eval(one.default) for name, one in known_parameters(source).items()}


def _row(notebook: str, parameter: str, value: Any, names: str, fix: str) -> BadInput:
    large = isinstance(value, int) and value > 10**9
    shown = f"an integer of {value.bit_length()} bits" if large else repr(value)[:40]

    def act(_: Any) -> None:
        planted = (
            {"run": KEPT, "device": "cpu"} if "device" in defaults(notebook) else {"run": KEPT}
        )
        BEGINS[notebook](**defaults(notebook) | planted | {parameter: value})

    return BadInput(
        f"parameters: {notebook} {parameter} {shown}",
        f"sets {parameter} to {shown}",
        names,
        fix,
        act,
    )


ROWS = tuple(_row(*given) for given in GIVEN)
