"""A saved network on the hub: its files and its model card, in one commit."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import create_repo, upload_folder

from muse_core.errors import MuseError
from muse_core.results.machine_paths import machine_path


def own_card(location: str) -> str:
    """The card beside a network's weights. Raises MuseError where there is none."""
    file = Path(location) / "README.md"
    if not location or not file.is_file():
        raise MuseError(
            "This tokenizer has no model card: load it from the folder of a finished stage, "
            "data/runs/RUN/STAGE/tokenizer, or give the text as card=..."
        )
    return file.read_text(encoding="utf-8")


def loaded_from(card: str, location: str) -> str:
    """The card whose example loads the network from this place."""
    return re.sub(r'(from_pretrained\(")[^"]*', lambda found: found[1] + location, card)


def upload(
    network: Any,
    repo_id: str,
    card: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
) -> str:
    """Save a network beside its card and upload both.

    Args:
        network: With diffusers' ``save_pretrained``.
        repo_id: OWNER/NAME, made where there is none.
        card: Text of the README.md.
        private: Whether a repository that is made is private.
        token: Of the hub; that of ``hf auth login`` if None.
        commit_message: Of the one commit.
        create_pr: Ask for the change instead of making it.

    Returns:
        The commit's address.

    Raises:
        MuseError: The card names a folder of this machine, or the hub refuses or is out of reach.
    """
    if found := machine_path(card):
        raise MuseError(f"The model card names a path of this machine ({found}): take it out.")
    try:
        made = create_repo(repo_id, private=private, token=token, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            network.save_pretrained(folder)
            (Path(folder) / "README.md").write_text(loaded_from(card, made), encoding="utf-8")
            return upload_folder(
                repo_id=made,
                folder_path=folder,
                token=token,
                commit_message=commit_message or f"Upload {type(network).__name__}",
                create_pr=create_pr,
            ).commit_url
    # Of a network that fails its client raises its own classes, which change with its version.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise MuseError(
            f"{repo_id} could not be uploaded ({reason}): check the name OWNER/NAME, log in with "
            "`hf auth login`, and see that the hub can be reached."
        ) from error
