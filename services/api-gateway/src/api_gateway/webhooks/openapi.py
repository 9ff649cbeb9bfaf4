"""The messages of webhooks, as the section `webhooks` of the OpenAPI document."""

from typing import Any

from api_gateway.events.activity_descriptions import DESCRIPTIONS, ActivityDescription

HEADERS = {
    "webhook-id": "The same in all attempts to deliver the message: by it you know one that you have had.",
    "webhook-timestamp": "When the attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the HMAC-SHA256 of id, timestamp and body, as Standard Webhooks says. While an old "
    "secret still counts there are two, with a space between.",
}
RESPONSES = {
    "2XX": {"description": "You have it. Any other status, or none within ten seconds, and it is sent again later."},
    "410": {"description": "You want no more: the webhook is switched off."},
}


def webhook_operations() -> dict[str, Any]:
    """Return an operation for every type of activity."""
    return {type: {"post": operation(type, meaning)} for type, meaning in DESCRIPTIONS.items()}


def operation(type: str, meaning: ActivityDescription) -> dict[str, Any]:
    body = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": type},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": {"type": "object", "required": list(meaning.data)},
        },
    }
    content = {"application/json": {"schema": body, "example": meaning.example(type)}}
    return {
        "tags": ["Webhooks"],
        "summary": meaning.sentence,
        "security": [],
        "parameters": [
            {"in": "header", "name": name, "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": content},
        "responses": RESPONSES,
    }
