"""Hub ids: only the files that are needed are fetched, once, and each way it fails is a sentence
that helps.
"""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from muse_core.errors import MuseError

NEEDED_FILES = ("*.json", "*.txt", "model*.safetensors", "diffusion_pytorch_model*.safetensors")
"""Configurations, tokenizers, weights; no second copy of the weights in another format, and no
code.
"""


def fetched(what: str, parameter: str, hub_id: str) -> Path:
    """The local folder of a hub id. Raises MuseError where the licence is not accepted, the id is
    unknown or there is no network. ``parameter``: the notebook parameter that takes a local folder
    instead."""
    instead = f"give a local copy with `-p {parameter} FOLDER`"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id):
        raise MuseError(
            f"The {what} {hub_id!r} is neither a folder nor a hub id (OWNER/NAME): {instead}."
        )
    page = f"huggingface.co/{hub_id}"
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(NEEDED_FILES)))
    except GatedRepoError as error:
        raise MuseError(
            f"The weights of the {what} {hub_id} are given to those who accept their licence: accept it on {page}, log in "
            f"with `hf auth login` and run again, or {instead}."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise MuseError(
            f"The {what} {hub_id} is not on this machine and the hub cannot be reached: download it once with "
            f"`hf download {hub_id}` where there is a network (its page: {page}), or {instead}."
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise MuseError(
            f"The {what} {hub_id} could not be fetched ({type(error).__name__}): check the id on {page}, or {instead}."
        ) from error
