"""ONNX Runtime Web for the explore page: fetched once by npm, checked by its hash, and kept out of git."""

import base64
import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from convlab import files
from convlab.errors import InputError

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
# Run with one thread: a page that is opened from a file has no workers
BUNDLE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
LICENCE = "ONNX Runtime Web, MIT licence, Copyright (c) Microsoft Corporation"


def folder() -> Path:
    """Return where the runtime's files are kept."""
    return files.scratch() / f"{PACKAGE}-{VERSION}"


def is_here() -> bool:
    """Tell whether the runtime has been fetched."""
    return all((folder() / name).is_file() for name in (BUNDLE, WASM))


def fetch() -> None:
    """Fetch the runtime by npm, if it is not here.

    Raises:
        InputError: there is no npm, it finds no package, or the package is not the one whose hash is known.
    """
    if is_here():
        return
    with tempfile.TemporaryDirectory() as temporary:
        command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", temporary]
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            raise InputError(
                f"--fetch: `{' '.join(command[:3])}` failed; it needs npm and a network"
            ) from None
        archive = Path(temporary) / f"{PACKAGE}-{VERSION}.tgz"
        found = hashlib.sha512(archive.read_bytes()).hexdigest()
        if found != SHA512:
            raise InputError(f"--fetch: {archive.name} has SHA-512 {found[:12]}…; expected {SHA512[:12]}…")
        with tarfile.open(archive) as tar:
            for name in (BUNDLE, WASM):
                member = tar.extractfile(f"package/dist/{name}")
                assert member is not None
                files.write_bytes(folder() / name, member.read())


def script() -> str:
    """Return the runtime as a classic script, which a page that is opened from a file may load."""
    bundle = (folder() / BUNDLE).read_text(encoding="utf-8")
    content = {"bundle": bundle, "wasm": packed((folder() / WASM).read_bytes())}
    return f"/* {LICENCE} */\nwindow.runtime = {json.dumps(content)};\n"


def packed(content: bytes) -> str:
    """Return bytes as text that a script can hold: gzip, then base64."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
