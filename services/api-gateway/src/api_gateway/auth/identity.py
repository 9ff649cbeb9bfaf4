"""The caller of a request."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a user may be, by the names of the reference."""

    ADMIN = "admin"
    ADMIN_READER = "admin-reader"
    ACCOUNT_ADMIN = "account-admin"
    ACCOUNT_READER = "account-reader"
    CONSULTANT = "consultant"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user who proved who they are. `scopes` empty: everything the user may do."""

    user_id: int
    account_id: int
    username: str
    email: str
    roles: frozenset[str]
    token_id: int | None = None
    scopes: frozenset[str] = frozenset()

    def has(self, role: Role) -> bool:
        return role.value in self.roles

    @property
    def reads_everything(self) -> bool:
        return self.has(Role.ADMIN) or self.has(Role.ADMIN_READER)
