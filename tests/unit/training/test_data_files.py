from types import SimpleNamespace

from muse_core.training.data_files import changed_files, keep_files


def data(**files: int) -> SimpleNamespace:
    return SimpleNamespace(file_sizes=files)


def test_what_was_added_removed_and_changed_is_said_with_its_first_name(tmp_path) -> None:
    keep_files(data(a=1, b=2, c=3), tmp_path)
    assert changed_files(data(a=1, b=2, c=3), tmp_path) == ""
    assert changed_files(data(b=9, d=1, e=1), tmp_path) == (
        "2 files added (first: d), 2 files removed (first: a), 1 file changed (first: b)"
    )


def test_where_nobody_listed_files_nothing_is_said(tmp_path) -> None:
    assert changed_files(data(a=1), tmp_path) == ""
    keep_files(object(), tmp_path)
    assert not list(tmp_path.iterdir()) and changed_files(object(), tmp_path) == ""
