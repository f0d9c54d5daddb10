"""How versions share a task's traffic."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make its table."""
    op.create_table(
        "traffic",
        sa.Column("base", sa.String(64), primary_key=True),
        sa.Column("task", sa.String(128), primary_key=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
