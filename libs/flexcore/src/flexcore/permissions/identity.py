"""The caller of a request."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The roles of users, named as FlexMeasures names them."""

    ADMIN = "admin"
    ADMIN_READER = "admin-reader"
    ACCOUNT_ADMIN = "account-admin"
    ACCOUNT_READER = "account-reader"
    CONSULTANT = "consultant"


class TokenKind(StrEnum):
    """The kinds of tokens that identify a user."""

    LOGIN = "login"
    """A token that was asked for with a password."""
    SESSION = "session"
    """The cookie of a browser."""
    KEY = "key"
    """An API key."""
    RESET = "reset"
    """A mailed link, good for choosing a password and nothing else."""


LOGGED_IN = (TokenKind.LOGIN, TokenKind.SESSION)
BY_PASSWORD = (*LOGGED_IN, TokenKind.RESET)
"""The tokens that a new password revokes. API keys do not depend on the password."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user. Empty `scopes`: everything the user may do."""

    user_id: int
    account_id: int
    username: str
    email: str
    roles: frozenset[str]
    token_id: int | None = None
    scopes: frozenset[str] = frozenset()
    kind: str = TokenKind.LOGIN
    only_account: int | None = None
    """The one account that the API key is good for; empty: all that the user may see."""
    requests_per_minute: int | None = None
    """The most that the API key is good for; empty: any number."""

    def has(self, role: Role) -> bool:
        return role.value in self.roles

    @property
    def reads_all_accounts(self) -> bool:
        """Return whether the user may read the resources of every account."""
        return self.has(Role.ADMIN) or self.has(Role.ADMIN_READER)

    @property
    def reads_everything(self) -> bool:
        return self.reads_all_accounts and self.only_account is None

    @property
    def works_for(self) -> int:
        """The account that is meant when a request names none."""
        return self.account_id if self.only_account is None else self.only_account
