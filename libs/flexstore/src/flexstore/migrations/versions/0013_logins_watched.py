"""The network of a login, the token of an audit log entry, and notifications of changed permissions."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

TELL = """
create function tell_rights() returns trigger language plpgsql as $$
begin
    perform pg_notify('flexmesh_rights', '');
    return null;
end
$$
"""
WATCHED = {
    "token": "update of revoked_at",
    "users": "update of active, account_id or delete",
    "user_role": "insert or delete",
    "account": "update of consultancy_account_id",
}
"""The changes, by table, that may change somebody's permissions."""


def upgrade() -> None:
    op.add_column("audit_log", sa.Column("token_id", sa.Integer()))
    op.add_column("audit_log", sa.Column("token_kind", sa.Text()))
    op.add_column("token", sa.Column("network", sa.Text()))
    op.execute(TELL)
    for table, changes in WATCHED.items():
        op.execute(
            f"create trigger tell_rights after {changes} on {table} for each statement execute function tell_rights()"
        )


def downgrade() -> None:
    op.execute("drop function tell_rights() cascade")
    op.drop_column("token", "network")
    op.drop_column("audit_log", "token_kind")
    op.drop_column("audit_log", "token_id")
