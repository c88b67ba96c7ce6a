"""The hooks of mkdocs (`make docs`): the repository's own pages, at their own places, as a site.

A link that works in the repository works in the site: a page is found where it lies, what it links
to comes along, a link to a module of muse_core leads to its page of the reference, and one to a
folder to that folder's index. Beside them stand the gallery, a page of the notebooks, and the
reference, a page a module."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)] * (str(ROOT) not in sys.path)

from muse_core.report.stamps import read_notebook, title_and_claim  # noqa: E402
from scripts.architecture import first_sentence  # noqa: E402

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "reports/LOG.md", "docs/*.md")
APART = {"docs/walks.md"}
"""Part of docs/architecture.md."""
GALLERY, PACKAGE, NOTEBOOKS = "reports/gallery", "muse_core", "notebooks"
LINK = re.compile(r"(\]\()([^)\s#:]+)")
COLAB = "https://colab.research.google.com/github/"


def on_config(config: Any) -> Any:
    """Put the reference into the navigation."""
    for entry in config.nav:
        if "Reference" in entry:
            entry["Reference"] = list(_navigation(ROOT / PACKAGE))
    return config


def on_files(files: Any, config: Any) -> Any:
    """The site's files in place of those of docs/."""
    # Not in `make env`, which type checks this file.
    from mkdocs.structure.files import File  # pyright: ignore[reportMissingImports]

    for file in [one for one in files if one.src_dir == config.docs_dir]:
        files.remove(file)
    made = dict(_reference(ROOT / PACKAGE)) | {f"{NOTEBOOKS}/index.md": _notebooks(config)}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for name in sorted(_pages() | _linked() | _gallery()):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to code and folders, led to their pages."""
    here = page.file.src_uri

    def led(found: re.Match[str]) -> str:
        name = _target(here, found[2])
        place = _page_of(name)
        return found[1] + (found[2] if place == name else _from(here, place))

    return LINK.sub(led, markdown)


def _target(page: str, link: str) -> str:
    """What a page's link means, from the repository's root."""
    return normpath(f"{Path(page).parent.as_posix()}/{link}")


def _from(page: str, place: str) -> str:
    return relpath(place, Path(page).parent.as_posix())


def _page_of(name: str) -> str:
    """Where the site shows a file or folder of the repository."""
    path = ROOT / name
    in_package = name.split("/")[0] == PACKAGE
    if path.is_dir():
        return f"{name}/index.{'html' if (path / 'index.html').exists() else 'md'}"
    return name.removesuffix(".py") + ".md" if in_package and path.suffix == ".py" else name


def _pages() -> set[str]:
    found = {file.relative_to(ROOT).as_posix() for each in PAGES for file in ROOT.glob(each)}
    return found - APART


def _linked() -> set[str]:
    """Files that pages link to and that are no pages themselves: pictures, records, notebooks."""
    found = {
        _page_of(_target(page, link))
        for page in _pages()
        for _, link in LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    }
    notebooks = {file.relative_to(ROOT).as_posix() for file in _numbered()}
    return {name for name in found | notebooks if (ROOT / name).is_file()} - _pages() - _gallery()


def _gallery() -> set[str]:
    """Pages and pictures of the gallery; its README.md is for GitHub, where pages are not shown."""
    files = (file for file in (ROOT / GALLERY).rglob("*") if file.is_file())
    left_out = ("README.md", "manifest.json")
    return {file.relative_to(ROOT).as_posix() for file in files if file.name not in left_out}


def _numbered() -> list[Path]:
    return sorted((ROOT / NOTEBOOKS).glob("[0-9][0-9]_*.ipynb"))


def _notebooks(config: Any) -> str:
    """The page of the notebooks; Colab is offered where the repository has an address on GitHub."""
    address = config.extra["repository"]
    owned = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    lines = ["# Notebooks", "The notebooks are the pipeline: each shows its method as it runs it."]
    for file in _numbered():
        title, claim = title_and_claim(read_notebook(file), file.stem)
        shown = f"{GALLERY}/tiny/{file.stem}.html"
        links = [f"[the notebook]({file.name})"]
        if (ROOT / shown).exists():
            links.insert(0, f"[read it executed]({_from(f'{NOTEBOOKS}/index.md', shown)})")
        if owned:
            opened = f"{COLAB}{owned[1]}/blob/main/{NOTEBOOKS}/{file.name}"
            links.append(f"[open in Colab]({opened}){{ .md-button }}")
        lines += [f"## {title}", claim, " · ".join(links)]
    return "\n\n".join(lines) + "\n"


def _modules(folder: Path) -> Iterator[Path]:
    yield from sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")


def _folders(folder: Path) -> Iterator[Path]:
    yield from sorted(each for each in folder.iterdir() if (each / "__init__.py").exists())


def _reference(folder: Path) -> Iterator[tuple[str, str]]:
    """Place -> text: an index for each folder, and a page for each module."""
    place = folder.relative_to(ROOT)
    name = ".".join(place.parts)
    inner = {f"{each.name}/index.md": each / "__init__.py" for each in _folders(folder)}
    inner |= {f"{file.stem}.md": file for file in _modules(folder)}
    listed = [
        f"- [{link.removesuffix('.md').removesuffix('/index')}]({link}): {first_sentence(file)}"
        for link, file in inner.items()
    ]
    yield (
        f"{place}/index.md",
        f"::: {name}\n    options:\n      members: []\n\n" + "\n".join(listed),
    )
    for file in _modules(folder):
        yield f"{place}/{file.stem}.md", f"::: {name}.{file.stem}\n"
    for each in _folders(folder):
        yield from _reference(each)


def _navigation(folder: Path) -> Iterator[Any]:
    place = folder.relative_to(ROOT).as_posix()
    yield f"{place}/index.md"
    for each in _folders(folder):
        yield {each.name: list(_navigation(each))}
    for file in _modules(folder):
        yield {file.stem: f"{place}/{file.stem}.md"}
