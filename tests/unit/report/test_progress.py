"""A finished bar is one line; whatever else was printed stays."""

from muse_core.report.progress import collapse_bars


def stream(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def test_only_the_last_line_of_a_bar_stays_even_across_outputs() -> None:
    first = stream(
        "\rtrain:   0%|          | 0/4 [00:00<?, ?it/s]\rtrain:  25%|██▌       | 1/4 [00:01<00:03,  1.0it/s]"
    )
    picture = {"output_type": "display_data", "data": {}, "metadata": {}}
    last = stream("\rtrain: 100%|██████████| 4/4 [00:04<00:00,  1.0it/s]\ndone\n")
    notebook = {
        "cells": [
            {"cell_type": "code", "outputs": [first, picture, last]},
            {"cell_type": "markdown"},
        ]
    }
    collapse_bars(notebook)
    assert notebook["cells"][0]["outputs"] == [picture, last]
    assert last["text"] == "train: 100%|██████████| 4/4 [00:04<00:00,  1.0it/s]\ndone\n"


def test_two_bars_keep_a_line_each_and_ordinary_text_is_untouched() -> None:
    text = "a: 50%|█ | 1/2 [00:01]\rb: 50%|█ | 1/2 [00:01]\ra: 100%|██| 2/2 [00:02]\nrow | 3/4 [x] is no bar\n"
    notebook = {"cells": [{"cell_type": "code", "outputs": [stream(text)]}]}
    collapse_bars(notebook)
    kept = notebook["cells"][0]["outputs"][0]["text"]
    assert kept == "b: 50%|█ | 1/2 [00:01]\na: 100%|██| 2/2 [00:02]\nrow | 3/4 [x] is no bar\n"


def test_a_bar_without_words_is_one_bar():
    lines = [
        f" {share}%|█ | {at}/8 [00:0{at}<00:17,  2.5s/network]"
        for at, share in enumerate((0, 12, 25))
    ]
    cell = {
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": "\r" + line} for line in lines
        ]
    }
    collapse_bars({"cells": [cell]})
    assert [output["text"].strip() for output in cell["outputs"]] == [lines[-1].strip()]
