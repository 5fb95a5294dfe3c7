"""Download one revision of a repository into a folder that appears whole or not at all.

Arguments: repository, revision, folder. Runs in the service's image before the server starts; replicas that share the
volume take turns.
"""

import shutil
import sys
from pathlib import Path

from filelock import FileLock
from huggingface_hub import snapshot_download

repository, revision, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
folder.parent.mkdir(parents=True, exist_ok=True)
with FileLock(f"{folder}.lock"):
    if folder.is_dir():
        print(f"{repository} {revision} is already there")
        sys.exit(0)
    scratch = folder.with_name(folder.name + ".part")
    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "LICENSE*", "README*"]
    snapshot_download(repository, revision=revision, local_dir=scratch, allow_patterns=patterns)
    shutil.rmtree(scratch / ".cache", ignore_errors=True)
    scratch.rename(folder)
    print(f"{repository} {revision} was downloaded")
