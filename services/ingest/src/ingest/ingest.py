"""What the routes use: the parts that take posts and uploads, over one store."""

from typing import Annotated

from fastapi import Depends, Request
from flexstore.store import Store

from ingest.batch.service import Batching
from ingest.data.repository import UserSources
from ingest.data.service import Posting
from ingest.files.intake import Intake
from ingest.files.service import Uploading, limits_of
from ingest.settings import IngestSettings
from ingest.storing import Storage


class Ingest:
    def __init__(self, store: Store, settings: IngestSettings) -> None:
        storage, sources = Storage(), UserSources()
        self.store = store
        self.settings = settings
        self.posting = Posting(store, storage, sources, settings.post_max_events)
        self.batching = Batching(store, storage, sources, settings.post_max_events)
        uploading = Uploading(storage, sources, limits_of(settings))
        self.intake = Intake(store, uploading, settings.upload_at_once_bytes)


async def here(request: Request) -> Ingest:
    ingest: Ingest = request.app.state.ingest
    return ingest


Here = Annotated[Ingest, Depends(here)]
