"""The language side: a frozen language model reads a tokenizer's tokens through a projector.

`conversation` turns words into tokens with places for an image; `projector` fills the places;
`seeing_model` is both with a tokenizer, and chats; `answer_task` trains the projector; `questions`
holds what it is trained and measured on; `mmvp` reads the benchmark of that name.
"""
