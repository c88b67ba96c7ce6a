"""The gallery: whole, linked, light, the same every time, and refused rather than half written."""

import base64
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plotly.offline import get_plotlyjs

from muse_core.cli import main
from muse_core.errors import MuseError
from muse_core.figures import PLOTLY_MIME
from muse_core.figures.explorer import AttentionView, explorer_data, explorer_fragment
from muse_core.report import gallery, html
from muse_core.report.cover import as_webp
from muse_core.report.stamps import source_sha
from muse_core.report.summary import summary
from muse_core.results.measurements import Measurement

from .conftest import Writer
from .executed import executed_copy, picture, png, write_evaluation


@pytest.fixture
def run(write_notebook: Writer, workspace: Path) -> Path:
    """A finished run of two notebooks, the second with an interactive figure."""
    figure = picture("A curve", png(60, 40))
    figure.data[PLOTLY_MIME] = {"data": [{"type": "scatter", "y": [1, 2]}], "layout": {}}
    executed_copy(write_notebook("00_a", "1", title="Foundations"), "tiny", picture("A tile"))
    executed_copy(write_notebook("01_b", "1", title="Warm-up"), "tiny", figure)
    html.export_run(workspace / "reports/tiny")
    return workspace / "reports/tiny"


def test_it_holds_pages_an_index_a_readme_and_shared_pictures(run: Path) -> None:
    files = gallery.content(gallery.write("tiny"))
    assert {"README.md", "index.html", "tiny/manifest.json", "tiny/00_a.html"} <= set(files)
    assert not [name for name in files if name.endswith((".ipynb", ".min.js"))]
    page, index, readme = (files[name] for name in ("tiny/00_a.html", "index.html", "README.md"))
    assert b'href="../index.html"' in page and b'href="01_b.html"' in page
    assert b'href="tiny/00_a.html"' in index and b'src="assets/' in index
    assert b"### [Foundations](tiny/00_a.html)" in readme
    assert re.search(rb'src="assets/\w+.webp" width="420" alt="A tile"', readme)
    assert b"data:image/png" not in page and b'src="../assets/' in page
    assert b'src="../assets/plotly.packed.js"' in files["tiny/01_b.html"]


def test_pictures_keep_every_pixel_and_equal_ones_are_one_file(
    workspace: Path, write_notebook: Writer
) -> None:
    chart = io.BytesIO()
    Image.effect_noise((90, 30), 90).convert("RGB").save(chart, format="PNG")
    shown = picture("A chart", chart.getvalue())
    executed_copy(write_notebook("00_a", "1"), "tiny", shown, shown)
    html.export_run(workspace / "reports/tiny")
    files = gallery.light(workspace / "reports/tiny", "tiny")
    pictures = [Image.open(io.BytesIO(data)) for name, data in files.items() if "assets" in name]
    same = Image.open(chart).convert("RGB").tobytes()
    assert len(pictures) == 2 and same in [each.convert("RGB").tobytes() for each in pictures]


def test_the_manifest_names_the_sources(run: Path, workspace: Path) -> None:
    manifest = json.loads((gallery.write("tiny") / "tiny/manifest.json").read_text())
    sources = {stem: workspace / f"notebooks/{stem}.ipynb" for stem in ("00_a", "01_b")}
    assert manifest["run"] == "tiny"
    assert manifest["notebooks"] == {stem: source_sha(file) for stem, file in sources.items()}


def test_equal_runs_give_equal_bytes(run: Path) -> None:
    before = gallery.content(gallery.write("tiny"))
    assert gallery.content(gallery.write("tiny")) == before


def test_a_study_stands_beside_the_run_and_shares_its_assets(
    run: Path, write_notebook: Writer
) -> None:
    with pytest.raises(MuseError, match=r"has no ablations\.json"):
        gallery.write("tiny", "ablations")
    (run / "records").mkdir()
    (run / "records/ablations.json").write_text('{"study": "s"}')
    assert main(["gallery", "--run", "tiny"]) == 0
    write_notebook("02_c")
    assert main(["gallery", "--run", "tiny", "--into", "ablations"]) == 0
    files = gallery.content(gallery.folder())
    assert files["ablations/records/ablations.json"] == b'{"study": "s"}'
    assert {"tiny/01_b.html", "ablations/01_b.html"} <= set(files)
    assert len([name for name in files if name.endswith(".js")]) == 1
    assert b"The study that decides" in files["index.html"] and b"Run tiny" in files["index.html"]


def test_another_run_takes_the_place_of_the_one_before_with_its_pictures(
    run: Path, workspace: Path
) -> None:
    (run / "records").mkdir()
    (run / "records/ablations.json").write_text("{}")
    gallery.write("tiny", "ablations")
    before = gallery.content(gallery.write("tiny"))
    other = workspace / "reports/wide"
    for stem in ("00_a", "01_b"):
        source = workspace / f"notebooks/{stem}.ipynb"
        executed_copy(source, "wide", picture("New", png(9, 9, "blue")))
    html.export_run(other)
    files = gallery.content(gallery.write("wide"))
    assert "ablations/00_a.html" in files and "wide/00_a.html" in files
    assert not [name for name in files if name.startswith("tiny/")]
    assert set(files) - set(before)


def test_a_refusal_leaves_the_old_gallery_alone(run: Path, write_notebook: Writer) -> None:
    before = gallery.content(gallery.write("tiny"))
    write_notebook("00_a", "2")
    with pytest.raises(MuseError, match="00_a is stale"):
        gallery.write("tiny")
    write_notebook("02_c")
    (run / "01_b.html").unlink()
    with pytest.raises(MuseError, match="01_b is without a page, 02_c is missing"):
        gallery.write("tiny")
    assert gallery.content(gallery.folder()) == before


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_is_not_finished_is_refused(
    write_notebook: Writer, workspace: Path, status: str
) -> None:
    executed_copy(write_notebook("00_a"), "tiny", status=status)
    with pytest.raises(MuseError, match=f"00_a is {status}"):
        gallery.refuse_unready(workspace / "reports/tiny")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{workspace}/secret", r"tiny/00_a\.html shows a path of this machine"),
        ("<img src=//example.org/a.png>", r"would load //example\.org/a\.png from the network"),
        ("<a href=gone.html>x</a>", r"The link gone\.html in tiny/00_a\.html leads nowhere"),
    ],
)
def test_a_page_that_does_not_travel_is_refused(
    run: Path, workspace: Path, given: str, sentence: str
) -> None:
    page, text = run / "00_a.html", given.format(workspace=workspace)
    page.write_text(page.read_text().replace("</main>", f"{text}</main>"))
    with pytest.raises(MuseError, match=sentence):
        gallery.write("tiny")
    assert not gallery.folder().exists()


def test_what_is_too_heavy_is_refused() -> None:
    with pytest.raises(MuseError, match="MB at most"):
        gallery.refuse_unfit({"assets/a.webp": bytes(20)}, budget=19)


def test_a_swap_that_fails_brings_the_old_gallery_back(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = gallery.content(gallery.write("tiny")), Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(MuseError, match="No space left on device"):
        gallery.write("tiny")
    assert gallery.content(gallery.folder()) == before
    assert sorted(path.name for path in gallery.folder().parent.iterdir()) == ["gallery", "tiny"]


def test_a_folder_that_is_no_gallery_is_not_replaced(run: Path) -> None:
    gallery.folder().mkdir()
    (gallery.folder() / "mine.txt").write_text("mine")
    with pytest.raises(MuseError, match="is not a gallery"):
        gallery.write("tiny")
    assert (gallery.folder() / "mine.txt").exists()


def test_the_index_of_all_runs_does_not_count_the_gallery(run: Path) -> None:
    from muse_core.report import index

    gallery.write("tiny")
    assert [one.name for one in index.summaries()] == ["tiny"]


def test_the_command_says_where_it_is_or_why_not(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gallery"]) == 0 and capsys.readouterr().out.strip() == str(gallery.folder())
    assert main(["gallery", "--run", "wide"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("muse: There is no run 'wide'") and said.count("\n") == 1
    assert main(["gallery", "--into", "museum"]) == 2
    assert "choose one of ablations" in capsys.readouterr().err


def test_the_readme_shows_the_numbers_as_a_table_and_words_as_words(run: Path) -> None:
    write_evaluation(
        run,
        final={"psnr": Measurement(26.5, low=26.4, high=26.7)},
        shared={"psnr": Measurement(25.5)},
    )
    files = gallery.light(run, "tiny")
    readme = gallery.site(files)["README.md"].decode()
    assert "\n| PSNR | **26.5 dB** | 26.4 to 26.7 |  | 25.5 |  |\n" in readme
    assert readme.count("|") == 21
    assert summary(run).notebooks[0].title in readme


def test_the_explorer_stays_with_coarser_maps() -> None:
    maps = np.random.default_rng(0).dirichlet(np.ones(16), (1, 2, 2, 16)).astype(np.float32)
    source = AttentionView("student", "student", maps, (4, 4))
    data = explorer_data(np.zeros((1, 8, 8, 3)), ["</script>"], [source])
    fragment = explorer_fragment(data)
    text = re.search(r'<script type="application/json">(.*?)</script>', fragment, re.DOTALL)[1]
    coarse = gallery.in_64_steps(text)
    fine, rough = (
        np.frombuffer(gzip.decompress(base64.b64decode(given["data"]["sources"][0]["maps"])), "u1")
        for given in (json.loads(text), json.loads(coarse))
    )
    assert np.unique(rough).size <= 64 and np.abs(fine.astype(int) - rough).max() <= 2
    assert len(coarse) < len(text) and "</script>" not in coarse
    assert gallery.in_64_steps('{"maps": 1}') == '{"maps": 1}'


def test_plotly_travels_compressed_and_whole_with_its_licence_in_the_open() -> None:
    script = gallery.packed_plotly().decode()
    packed = re.search(r'atob\("([A-Za-z0-9+/=]+)"\)', script)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert len(script) < 0.5 * len(get_plotlyjs()) and "MIT" in script[:600]
    assert gallery.packed_plotly().decode() == script


def as_png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values.astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_of_images_lose_a_little_and_drawings_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3))
    drawing = np.full((200, 200, 3), 255)
    drawing[50:60] = 0
    back = lambda webp: np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))
    assert np.array_equal(back(gallery._small_webp(as_png(drawing))), drawing)
    lossless = as_webp(as_png(noise), 16_000, lossless=True, quality=90, method=4)
    assert len(gallery._small_webp(as_png(noise))) < 0.8 * len(lossless)
