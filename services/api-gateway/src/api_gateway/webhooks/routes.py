"""`/api/v1/webhooks`: create, change, test and delete webhooks, and list their deliveries."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from flexcore.listing import paged
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType, Scope, may
from flexcore.permissions.resources import Found
from flexcore.webhooks import repository, service
from flexcore.webhooks.inputs import DeliveryQuery, SecretPost, WebhookPatch, WebhookPost, WebhookQuery
from flexmodel.errors import NotFound
from flexserve.responses import OrjsonResponse
from flexstore.store import Connection
from starlette.responses import Response

from api_gateway.auth.access import Access, LoggedIn
from api_gateway.gateway import Gateway
from api_gateway.response_models import PageResponse
from api_gateway.responses import NoContentResponse, SecretOnceResponse, forbidden
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.webhooks.schemas import (
    Delivery,
    NewWebhook,
    OnItsWay,
    Secret,
    Webhook,
    Webhooks,
    delivery_response,
    webhook_response,
)

router = APIRouter(prefix="/webhooks", tags=["Webhooks"], route_class=ProblemDetailsRoute)

LARGEST_DELIVERY = 2**63 - 1
Administrator = Annotated[Identity, Depends(LoggedIn(Scope.ADMIN))]
Readable = Annotated[Found, Depends(Access(ResourceType.WEBHOOK, Action.AUDIT))]
Changeable = Annotated[Found, Depends(Access(ResourceType.WEBHOOK, Action.UPDATE))]


@router.post(
    "",
    status_code=201,
    summary="Create a webhook; its secret is shown this once.",
    response_model=NewWebhook,
    responses={404: {}, 409: {"description": "The account has as many webhooks as it may have."}},
)
async def create_webhook(caller: Administrator, gateway: Gateway, body: WebhookPost) -> Response:
    async with gateway.transaction() as con:
        account = await account_for(con, caller, body.account, Action.CREATE, ResourceType.ACCOUNT)
        row, secret = await service.create(con, caller, account, body, gateway.settings.webhooks_per_account)
    return SecretOnceResponse(webhook_response(row), {"secret": secret}, 201)


@router.get("", summary="List the webhooks of an account.", response_model=Webhooks, responses={404: {}})
async def list_webhooks(
    caller: Administrator, gateway: Gateway, query: Annotated[WebhookQuery, Query()]
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        account = await account_for(con, caller, query.account, Action.AUDIT, ResourceType.WEBHOOK)
        rows = await repository.load_of_account(con, account)
    return OrjsonResponse({"webhooks": [webhook_response(row) for row in rows]})


async def account_for(
    con: Connection, caller: Identity, account_id: int | None, action: Action, thing: ResourceType
) -> int:
    """Return the requested account, by default the caller's own. Raises `ApiError` without permission."""
    chosen = caller.works_for if account_id is None else account_id
    account = await resources.find(con, ResourceType.ACCOUNT, chosen)
    if account is None:
        raise NotFound(f"There is no account with ID {chosen}.")
    if not may(caller, action, thing, resources.owner_of(account)):
        raise forbidden()
    return chosen


@router.get("/{id}", summary="Get a webhook.", response_model=Webhook)
async def get_webhook(webhook: Readable, gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        return OrjsonResponse(webhook_response(await repository.get(con, webhook.id)))


@router.patch("/{id}", summary="Change a webhook, or switch it off or on.", response_model=Webhook)
async def update_webhook(webhook: Changeable, gateway: Gateway, body: WebhookPatch) -> OrjsonResponse:
    async with gateway.transaction() as con:
        return OrjsonResponse(webhook_response(await service.update(con, webhook, body.sent())))


@router.delete("/{id}", status_code=204, response_class=NoContentResponse, summary="Delete a webhook.")
async def delete_webhook(
    webhook: Annotated[Found, Depends(Access(ResourceType.WEBHOOK, Action.DELETE))], gateway: Gateway
) -> NoContentResponse:
    async with gateway.transaction() as con:
        await service.delete(con, webhook.caller, webhook.row)
    return NoContentResponse()


@router.post("/{id}/secret", summary="Give a webhook a new secret; it is shown this once.", response_model=Secret)
async def renew_webhook_secret(webhook: Changeable, gateway: Gateway, body: SecretPost | None = None) -> Response:
    async with gateway.transaction() as con:
        secret = await service.renew_secret(con, webhook, body or SecretPost())
    return SecretOnceResponse({}, {"secret": secret})


@router.post("/{id}/test", status_code=202, summary="Send a webhook a message to try it.", response_model=OnItsWay)
async def test_webhook(webhook: Changeable, gateway: Gateway) -> OrjsonResponse:
    async with gateway.transaction() as con:
        return OrjsonResponse({"message_id": await service.send_test(con, webhook)}, 202)


@router.get(
    "/{id}/deliveries",
    summary="List the attempts to deliver messages to a webhook.",
    response_model=PageResponse[Delivery],
)
async def list_webhook_deliveries(
    webhook: Readable, gateway: Gateway, query: Annotated[DeliveryQuery, Query()]
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows, filtered, total = await repository.fetch_deliveries(con, webhook.id, query)
    return OrjsonResponse(paged([delivery_response(row) for row in rows], total, filtered))


@router.post(
    "/{id}/deliveries/{delivery}/redeliver",
    status_code=202,
    summary="Send a message to a webhook again.",
    response_model=OnItsWay,
    responses={409: {"description": "The webhook is switched off, or what the message said is no longer kept."}},
)
async def redeliver_webhook(
    webhook: Changeable, delivery: Annotated[int, Path(ge=1, le=LARGEST_DELIVERY)], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.transaction() as con:
        return OrjsonResponse({"message_id": await service.redeliver(con, webhook, delivery)}, 202)
