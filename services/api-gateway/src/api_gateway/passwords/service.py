"""Changes of passwords, and the limits of requests for links."""

from datetime import timedelta

from flexcore.audit.service import record_change
from flexcore.credentials import password_rules, repository
from flexcore.permissions.identity import BY_PASSWORD, Identity, TokenKind
from flexmodel.errors import Invalid

from api_gateway.auth.client import Client
from api_gateway.auth.service import find_verified_user
from api_gateway.gateway import Gateway
from api_gateway.rate_limits import RateLimit, per_minute


async def change_password(
    gateway: Gateway, caller: Identity, current: str, new: str, client: Client, *, revoke_keys: bool
) -> dict[str, int]:
    """Set the caller's password, and revoke their other logins. Return the number of revoked tokens by kind."""
    await check_password(gateway, caller, current, client)
    password_rules.check("new_password", new, gateway.settings.shortest_password, caller.username, caller.email)
    if new == current:
        raise Invalid({"new_password": ["This is the password that you have."]})
    password_hash = await gateway.passwords.hash(new)
    kinds = (*BY_PASSWORD, TokenKind.KEY) if revoke_keys else BY_PASSWORD
    async with gateway.transaction() as con:
        await repository.replace_password(con, caller.user_id, password_hash)
        revoked = await repository.revoke(con, caller.user_id, kinds, but=caller.token_id)
        event = f"Password of user {caller.username} changed"
        await record_change(con, caller, event, account_id=caller.account_id, affected_user_id=caller.user_id)
    return revoked


async def check_password(gateway: Gateway, caller: Identity, password: str, client: Client) -> None:
    """Raise `Invalid` if this is not the caller's password."""
    if await find_verified_user(gateway, caller.email, password, client) is None:
        raise Invalid({"current_password": ["This is not your password."]})


async def count_request(gateway: Gateway, email: str, client: Client) -> None:
    """Count a request for a link. Raises `ApiError` beyond the limit, for unknown users as well."""
    per_hour = gateway.settings.reset_mails_per_hour
    async with gateway.store.connection() as con:
        spelled = (await repository.find_login(con, email)).spelled
    limits = {
        f"reset:address:{client.network}": per_minute(gateway.settings.failed_logins_per_address),
        f"reset:user:{spelled}": RateLimit(per_hour, timedelta(hours=1), f"{per_hour} per 1 hour"),
    }
    for key, limit in limits.items():
        (await gateway.limiter.count(key, limit)).enforce()
