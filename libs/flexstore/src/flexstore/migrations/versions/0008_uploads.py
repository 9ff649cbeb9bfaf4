"""Uploaded files, kept until a worker has stored them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("rows_total", sa.Integer(), nullable=True),
        sa.Column("rows_read", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_stored", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_table(
        "upload_chunk",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("file", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["upload.job_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "file", "position"),
    )
    # Rows are kept for seconds: compression costs more than it saves.
    op.execute("alter table upload_chunk alter column content set storage external")
