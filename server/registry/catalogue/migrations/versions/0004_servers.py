"""Servers that can be reached by others."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "servers",
        sa.Column("address", sa.String(512), primary_key=True),
        sa.Column("seen", sa.Float, nullable=False),
    )
