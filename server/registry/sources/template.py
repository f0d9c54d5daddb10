"""Templates: where tasks that nobody has put come from, with {task} for a task's name."""

from server.errors import InvalidRequest, InvalidSettings
from server.registry.sources.address import Address
from server.registry.sources.directory import path_of
from server.registry.sources.sources import is_here

TASK = "{task}"

_NAME = "task"
"""What a task may be called, to try a template with."""


def check_template(template: str, *, private: bool) -> None:
    """Raise InvalidSettings for what could fetch nothing, or from where requests say."""
    try:
        if is_here(template):
            path_of(template.replace(TASK, _NAME))
            return
        if template.endswith(TASK) and template.startswith(("http://", "https://")):
            raise _unfit(template, f"The address of a directory ends in '/': write {template}/")
        address = Address.read(template.replace(TASK, _NAME))
    except InvalidRequest as error:
        raise _unfit(template, str(error).rstrip(".")) from None
    if template.split("/")[2] == TASK:
        raise _unfit(
            template,
            "Whoever asks would say from whose host, account or bucket a delta comes: name that, "
            f"and write {TASK} further behind, as in hf://OWNER/{TASK}",
        )
    if address.scheme == "http" and not private:
        raise _unfit(template, "Plain http is fetched with --private-sources alone; write https")


def _unfit(template: str, reason: str) -> InvalidSettings:
    return InvalidSettings(f"--resolve {template} would find no task. {reason}.")
