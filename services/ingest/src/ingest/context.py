"""Context of a request: the handlers of posts, batches and uploads, over one store."""

from typing import Annotated

from fastapi import Depends, Request
from flexstore.store import Store

from ingest.batch.service import BatchHandler
from ingest.belief_writer import BeliefWriter
from ingest.data.repository import UserSources
from ingest.data.service import PostHandler
from ingest.files.service import UploadHandler
from ingest.files.upload_writer import UploadWriter, file_limits
from ingest.settings import IngestSettings


class IngestContext:
    """Handlers and settings that the routes use."""

    def __init__(self, store: Store, settings: IngestSettings) -> None:
        writer, sources = BeliefWriter(), UserSources()
        self.store = store
        self.settings = settings
        self.post_handler = PostHandler(store, writer, sources, settings.post_max_events)
        self.batch_handler = BatchHandler(store, writer, sources, settings.post_max_events)
        upload_writer = UploadWriter(writer, sources, file_limits(settings))
        self.upload_handler = UploadHandler(store, upload_writer, settings.upload_at_once_bytes)


async def ingest_context(request: Request) -> IngestContext:
    context: IngestContext = request.app.state.ingest
    return context


Ingest = Annotated[IngestContext, Depends(ingest_context)]
"""The context as a dependency of a route."""
