"""A stage's requests as batch files, and its answers from them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from promedical_curation.asking.batch_files import BatchWriter, Imported, custom_ids, read_answers
from promedical_curation.asking.chains import chains
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.fetching import Terms
from promedical_curation.asking.requests import Request
from promedical_curation.asking.store import Payer, Store, open_store
from promedical_curation.pipeline.engines import batches
from promedical_curation.pipeline.run_folder import RunFolder
from promedical_curation.pipeline.stages import Rows, RowStage
from promedical_curation.pipeline.worker import requests_about


def export_batches(stage: RowStage, rows: Rows, run: RunFolder, folder: Path) -> tuple[int, list[Path]]:
    """Write what a stage would ask now and has no answer to; returns how many requests, and the files."""
    endpoints = {endpoint.name: endpoint for endpoint in stage.endpoints}
    written = set[bytes]()
    with closing(open_store(run.store)) as store, BatchWriter(folder) as writer:
        for request, answered in _requests(stage, rows, store, Terms(run=run.id)):
            key = bytes.fromhex(request.key)
            if not answered and key not in written:
                written.add(key)
                writer.add(endpoints[request.to], request)
    return len(written), writer.files


def import_batches(stage: RowStage, rows: Rows, run: RunFolder, files: Sequence[Path]) -> Imported:
    """Keep the answers in these files.

    Raises:
        CurationError: A file is no batch, or answers something else. Answers before the fault are kept.
    """
    endpoints = {endpoint.name: endpoint for endpoint in stage.endpoints}
    imported = Imported()
    with closing(open_store(run.store)) as store:
        for file in files:
            keys, asked = custom_ids(file), dict[str, tuple[Endpoint, Request]]()
            for request, _ in _requests(stage, rows, store, Terms(run=run.id)):
                if (key := request.key) in keys:
                    asked[key] = (endpoints[request.to], request)
            imported += read_answers(file, asked, store, Payer(run=run.id, stage=stage.name))
    return imported


def _requests(stage: RowStage, rows: Rows, store: Store, terms: Terms) -> Iterator[tuple[Request, bool]]:
    for some in batches(rows):
        requests = [request for row in some for request in requests_about(stage, row)]
        yield from chains(requests, store, terms.repairs)
