"""What tenants may use: their limits and weights."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "tenants",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
