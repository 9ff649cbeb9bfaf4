"""The permission policy: who may do what, in one table.

A thing belongs to an account, or is public. The caller relates to it in one or more ways (`Party`), and each pair of a
thing and an action lists the parties that may. Administrators may everything. An admin-reader may also read everything,
whatever else they may. An account-reader reads everything in their account and changes nothing but themselves.
An API key may do what its user may, as far as its scopes and the account it is limited to reach.
"""

from dataclasses import dataclass
from enum import StrEnum

from flexcore.permissions.identity import Identity, Role


class ResourceType(StrEnum):
    """The kinds of resources that permissions are about."""

    PLATFORM = "platform"
    ACCOUNT = "account"
    USER = "user"
    ASSET = "asset"
    SENSOR = "sensor"
    JOB = "job"
    TOKEN = "token"  # noqa: S105 - the name of a thing
    """A login token, a session or an API key: whatever its user is known by."""
    KEY = "API key"
    WEBHOOK = "webhook"


class Action(StrEnum):
    """An action on a resource."""

    READ = "read"
    AUDIT = "audit"
    """Read its audit log, or what not every member of the account should see."""
    CREATE = "create"
    """Create something inside it: users and assets in an account, sensors and assets in an asset."""
    FEED = "feed"
    """Post data and annotations."""
    SCHEDULE = "schedule"
    """Trigger schedules and forecasts; in an account: solve problems that are about nothing stored."""
    UPDATE = "update"
    DELETE = "delete"
    COPY = "copy"
    """Copy it; to where is asked besides."""
    LIMIT = "limit"
    """Say how much of something it may have at most."""
    ENTRUST = "entrust"
    """Say who else may do things in it: of an account its consultant and plan, of the platform who rules it."""


class Scope(StrEnum):
    """A use that an API key may be limited to."""

    READ = "read"
    WRITE = "write"
    SCHEDULE = "schedule"
    ADMIN = "admin"
    LOGIN = "login"
    """Reserved for users who logged in: no key has this scope."""


class Party(StrEnum):
    """The relation of a caller to the owner of a resource."""

    ANYONE = "anyone logged in"
    """The thing is public."""
    MEMBER = "member of the account"
    ACCOUNT_ADMIN = "administrator of the account"
    CONSULTANT = "consultant of the account"
    SELF = "the user it is about"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a resource. Without an account it is public."""

    account_id: int | None
    consultancy_account_id: int | None = None
    user_id: int | None = None
    rules_platform: bool = False
    """It is, or belongs to, a user with a role on the whole platform: administrators of accounts keep off it."""


A, P = Action, Party
RIGHTS: dict[ResourceType, dict[Action, tuple[Party, ...]]] = {
    ResourceType.PLATFORM: {A.CREATE: (), A.ENTRUST: ()},
    ResourceType.ACCOUNT: {
        A.READ: (P.MEMBER, P.CONSULTANT),
        A.AUDIT: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.CREATE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.FEED: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.SCHEDULE: (P.MEMBER,),
        A.UPDATE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.LIMIT: (),
        A.ENTRUST: (),
    },
    ResourceType.USER: {
        A.READ: (P.SELF, P.MEMBER, P.CONSULTANT),
        A.AUDIT: (P.SELF, P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.UPDATE: (P.SELF, P.ACCOUNT_ADMIN, P.CONSULTANT),
    },
    ResourceType.ASSET: {
        A.READ: (P.ANYONE, P.MEMBER, P.CONSULTANT),
        A.AUDIT: (P.ANYONE, P.MEMBER, P.CONSULTANT),
        A.CREATE: (P.MEMBER, P.CONSULTANT),
        A.FEED: (P.MEMBER, P.CONSULTANT),
        A.SCHEDULE: (P.MEMBER, P.CONSULTANT),
        A.UPDATE: (P.MEMBER, P.CONSULTANT),
        A.DELETE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.COPY: (P.ANYONE, P.MEMBER, P.CONSULTANT),
    },
    ResourceType.SENSOR: {
        A.READ: (P.ANYONE, P.MEMBER, P.CONSULTANT),
        A.FEED: (P.MEMBER, P.CONSULTANT),
        A.SCHEDULE: (P.MEMBER, P.CONSULTANT),
        A.UPDATE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.DELETE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
    },
    ResourceType.JOB: {A.READ: (P.MEMBER, P.CONSULTANT)},
    ResourceType.TOKEN: {A.DELETE: (P.SELF, P.ACCOUNT_ADMIN, P.CONSULTANT)},
    ResourceType.KEY: {
        A.UPDATE: (P.SELF, P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.DELETE: (P.SELF, P.ACCOUNT_ADMIN, P.CONSULTANT),
    },
    # Its address may be a secret, so who merely belongs to the account does not see it.
    ResourceType.WEBHOOK: {
        A.AUDIT: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.UPDATE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
        A.DELETE: (P.ACCOUNT_ADMIN, P.CONSULTANT),
    },
}

READING = frozenset({Action.READ, Action.AUDIT})
SCOPES: dict[Action, Scope] = {
    Action.READ: Scope.READ,
    Action.AUDIT: Scope.ADMIN,
    Action.CREATE: Scope.ADMIN,
    Action.FEED: Scope.WRITE,
    Action.SCHEDULE: Scope.SCHEDULE,
    Action.UPDATE: Scope.ADMIN,
    Action.DELETE: Scope.ADMIN,
    Action.COPY: Scope.ADMIN,
    Action.LIMIT: Scope.ADMIN,
    Action.ENTRUST: Scope.ADMIN,
}
"""The scope an API key needs for a route that states this action."""


def parties(caller: Identity, owner: Owner) -> frozenset[Party]:
    """Return all relations of the caller to the owner."""
    found: set[Party] = set()
    if owner.account_id is None:
        found.add(Party.ANYONE)
    elif owner.account_id == caller.account_id:
        found.add(Party.MEMBER)
        if caller.has(Role.ACCOUNT_ADMIN):
            found.add(Party.ACCOUNT_ADMIN)
    elif owner.consultancy_account_id == caller.account_id and caller.has(Role.CONSULTANT):
        found.add(Party.CONSULTANT)
    if owner.user_id is not None and owner.user_id == caller.user_id:
        found.add(Party.SELF)
    return frozenset(found)


def may(caller: Identity, action: Action, thing: ResourceType, owner: Owner) -> bool:
    """Return whether the caller may do this. Scopes of keys are checked separately: see `in_scope`."""
    granted = frozenset(RIGHTS[thing][action])
    if not in_reach(caller, action, owner):
        return False
    if caller.has(Role.ADMIN):
        return True
    related = parties(caller, owner)
    if owner.rules_platform and action not in READING:
        related &= {Party.SELF}
    if action in READING and (
        caller.has(Role.ADMIN_READER) or (caller.has(Role.ACCOUNT_READER) and P.MEMBER in related)
    ):
        return True
    if action not in READING and caller.has(Role.ACCOUNT_READER) and not caller.has(Role.ACCOUNT_ADMIN):
        related &= {Party.SELF}
    return bool(granted & related)


def in_reach(caller: Identity, action: Action, owner: Owner) -> bool:
    """Return whether the owner's account is within the limit of the caller's key.

    Who rules the platform reaches beyond every account, wherever they are: such a key changes nothing of them.
    """
    if caller.only_account is None:
        return True
    if caller.only_account == owner.account_id:
        return not owner.rules_platform or action in READING
    return owner.account_id is None and action is Action.READ


def in_scope(caller: Identity, scope: Scope) -> bool:
    """Return whether the caller's key has the scope that the route demands. Other tokens have all scopes."""
    return not caller.scopes or scope in caller.scopes
