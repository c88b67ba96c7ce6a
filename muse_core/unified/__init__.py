"""The language side: a frozen language model reads a tokenizer's tokens through a projector, and
what it understood is drawn.

`conversation` turns words into tokens with places for an image, `sight` says what stands there, and
`projector` makes words of it; `seeing_model` is all with a tokenizer, and chats; `answer_task`
trains the projector on `questions`. `drawer` holds queries, connector and denoiser, `draw_task`
trains them on `drawn_pairs`, and `unified_model` chats, draws and edits. `mmvp`, `geneval`, `wise`
and `imgedit` read and write the layouts of these benchmarks.
"""
