"""What is shown or given away names no folder of this machine."""

from pathlib import Path

import pytest

from muse_core.results.machine_paths import data_words, machine_path, without_machine_paths

TEMPORARY = "/".join(("", "tmp", ""))
"""Put together here, so that no file of the project holds such a path."""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<pre>read /home/ada/photos/cat.png</pre>", "/home/ada/photos/cat.png"),
        ("'/Users/ada/x'", "/Users/ada/x"),
        (f"in {TEMPORARY}x.png", f"{TEMPORARY}x.png"),
        (r'{"trace": "line 1\n/home/ada/x.py"}', "/home/ada/x.py"),
        ("data/runs/tiny and https://a.b/home/x", ""),
        ("A" * 200 + "/home/ada/x", ""),
    ],
)
def test_a_path_of_this_machine_is_seen(text: str, found: str) -> None:
    assert machine_path(text) == found


def test_paths_of_the_workspace_begin_there_and_others_keep_their_last_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path / "desk"))
    given = {
        f'"{tmp_path}/desk/data/runs/tiny/x.json"': '"data/runs/tiny/x.json"',
        f"in {tmp_path}/desk": "in desk",
        '"folder:/home/ada/my-photos"': '"folder:my-photos"',
        "<b>/Users/ada/a.png</b>, https://a.b/home/c": "<b>a.png</b>, https://a.b/home/c",
        "A" * 200 + "/home/ada/x": "A" * 200 + "/home/ada/x",
    }
    for text, expected in given.items():
        assert without_machine_paths(text) == expected
        assert not machine_path(expected)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("scenes", "scenes"),
        ("folder: ~/photos/", "folder (photos)"),
        (
            "mix:27*wds:/a/{000..026}.tar,5*captions:/b/pairs,4*scenes",
            "mix of 27*wds ({000..026}.tar), 5*captions (pairs), 4*scenes",
        ),
        ("", ""),
    ],
)
def test_data_is_named_without_its_place(spec: str, words: str) -> None:
    assert data_words(spec) == words
