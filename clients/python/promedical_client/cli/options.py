"""The options that the commands of `promedical` share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSONL = "jsonl"


class Cut(StrEnum):
    """What may be cut from what is too long."""

    NONE = "none"
    RESPONSE_END = "response_end"
    PROMPT_START = "prompt_start"


class Lane(StrEnum):
    """Which queue of the service."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


Url = Annotated[
    str, typer.Option(envvar="PROMEDICAL_URL", help="grpc://HOST:PORT, grpcs://, http:// or https:// of the service.")
]
ApiKey = Annotated[str | None, typer.Option(envvar="PROMEDICAL_API_KEY", help="API key, where one is needed.")]
CaFile = Annotated[
    Path | None, typer.Option(envvar="PROMEDICAL_CA_FILE", help="PEM file of the authorities to trust under TLS.")
]
CertFile = Annotated[
    Path | None,
    typer.Option(envvar="PROMEDICAL_CLIENT_CERT_FILE", help="PEM file of this client's certificate, for mutual TLS."),
]
KeyFile = Annotated[Path | None, typer.Option(envvar="PROMEDICAL_CLIENT_KEY_FILE", help="PEM file of its key.")]
TimeoutS = Annotated[float, typer.Option(min=0.001, help="Seconds for the whole command, retries included.")]
RubricId = Annotated[str | None, typer.Option(help="Judge by this named rubric, instead of what the input brings.")]
BaseRubricId = Annotated[str | None, typer.Option(help="Add the criteria of this named rubric.")]
ExpectedFingerprint = Annotated[str | None, typer.Option(help="Refuse to be answered by any other oracle.")]
Priority = Annotated[
    Lane | None, typer.Option(help="Lane in the queue; by default interactive for one item, bulk for more.")
]
Truncation = Annotated[Cut, typer.Option(help="What may be cut from what is too long.")]
Output = Annotated[Format, typer.Option("--format", help="How to print results.")]
