"""Which registry a database is: the id that its stores know it by."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table; the first server to start gives the id."""
    op.create_table("identity", sa.Column("id", sa.String(32), primary_key=True))
