"""Arguments of fifty tools that are in use, in short: `?` may be left out, `[]` is a list."""

from typing import Any

_KINDS: dict[str, Any] = {
    "text": {"type": "string"},
    "whole": {"type": "integer"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "date-time"},
    "mail": {"type": "string", "format": "email"},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100},
}


def _of(kind: str | dict[str, str]) -> dict[str, Any]:
    if isinstance(kind, dict):
        return schema(kind)
    if kind.endswith("[]"):
        return {"type": "array", "items": _of(kind[:-2])}
    if "|" in kind:
        return {"type": "string", "enum": kind.split("|")}
    return _KINDS[kind]


def schema(fields: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema of an object of these fields and no others."""
    names = {name.removesuffix("?"): kind for name, kind in fields.items()}
    properties = {
        name: {"type": "array", "items": _of(kind[0])} if isinstance(kind, list) else _of(kind)
        for name, kind in names.items()
    }
    required = [name for name in fields if not name.endswith("?")]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_REPOSITORY = {"owner": "text", "repo": "text"}
_SORT = {"sort?": "created|updated|comments", "direction?": "asc|desc"}
_PLACE = {"latitude": "number", "longitude": "number"}

TOOLS: dict[str, dict[str, Any]] = {
    name: schema(fields)
    for name, fields in {
        "get_weather": {"location": "text", "unit?": "celsius|fahrenheit"},
        "get_forecast": {**_PLACE, "days?": "whole"},
        "get_alerts": {"state": "text"},
        "get_current_time": {"timezone": "text"},
        "convert_time": {"source_timezone": "text", "time": "text", "target_timezone": "text"},
        "read_file": {"path": "text", "head?": "whole", "tail?": "whole"},
        "read_multiple_files": {"paths": "text[]"},
        "write_file": {"path": "text", "content": "text"},
        "edit_file": {
            "path": "text",
            "edits": [{"oldText": "text", "newText": "text"}],
            "dryRun?": "flag",
        },
        "create_directory": {"path": "text"},
        "list_directory_with_sizes": {"path": "text", "sortBy?": "name|size"},
        "move_file": {"source": "text", "destination": "text"},
        "search_files": {"path": "text", "pattern": "text", "excludePatterns?": "text[]"},
        "list_allowed_directories": {},
        "fetch": {"url": "text", "max_length?": "whole", "raw?": "flag"},
        "web_search": {"query": "text", "count?": "whole", "offset?": "whole"},
        "create_entities": {
            "entities": [{"name": "text", "entityType": "text", "observations": "text[]"}]
        },
        "create_relations": {"relations": [{"from": "text", "to": "text", "relationType": "text"}]},
        "search_nodes": {"query": "text"},
        "create_repository": {"name": "text", "description?": "text", "private?": "flag"},
        "create_issue": {
            **_REPOSITORY,
            "title": "text",
            "body?": "text",
            "assignees?": "text[]",
            "labels?": "text[]",
            "milestone?": "whole",
        },
        "list_issues": {**_REPOSITORY, "state?": "open|closed|all", **_SORT, "since?": "time"},
        "update_issue": {**_REPOSITORY, "issue_number": "whole", "state?": "open|closed"},
        "add_issue_comment": {**_REPOSITORY, "issue_number": "whole", "body": "text"},
        "create_pull_request": {
            **_REPOSITORY,
            "title": "text",
            "head": "text",
            "base": "text",
            "draft?": "flag",
        },
        "merge_pull_request": {
            **_REPOSITORY,
            "pull_number": "whole",
            "merge_method?": "merge|squash|rebase",
        },
        "push_files": {
            **_REPOSITORY,
            "branch": "text",
            "files": [{"path": "text", "content": "text"}],
            "message": "text",
        },
        "create_pull_request_review": {
            **_REPOSITORY,
            "pull_number": "whole",
            "event": "APPROVE|REQUEST_CHANGES|COMMENT",
            "comments?": [{"path": "text", "position": "whole", "body": "text"}],
        },
        "fork_repository": {**_REPOSITORY, "organization?": "text"},
        "post_message": {"channel_id": "text", "text": "text"},
        "reply_to_thread": {"channel_id": "text", "thread_ts": "text", "text": "text"},
        "add_reaction": {"channel_id": "text", "timestamp": "text", "reaction": "text"},
        "get_channel_history": {"channel_id": "text", "limit?": "whole"},
        "read_query": {"query": "text"},
        "describe_table": {"table_name": "text"},
        "append_insight": {"insight": "text"},
        "geocode": {"address": "text"},
        "reverse_geocode": _PLACE,
        "search_places": {"query": "text", "location?": _PLACE, "radius?": "number"},
        "directions": {
            "origin": "text",
            "destination": "text",
            "mode?": "driving|walking|bicycling|transit",
        },
        "elevation": {"locations": [_PLACE]},
        "navigate": {"url": "text", "allowDangerous?": "flag"},
        "screenshot": {"name": "text", "selector?": "text", "width?": "whole", "height?": "whole"},
        "fill": {"selector": "text", "value": "text"},
        "sequential_thinking": {
            "thought": "text",
            "nextThoughtNeeded": "flag",
            "thoughtNumber": "whole",
            "totalThoughts": "whole",
        },
        "send_email": {"to": "mail[]", "subject": "text", "body": "text", "cc?": "mail[]"},
        "create_event": {
            "title": "text",
            "start": "time",
            "end": "time",
            "attendees?": [{"email": "mail", "optional": "flag"}],
            "reminders?": [{"method": "email|popup", "minutes": "whole"}],
        },
        "book_flight": {
            "from": "text",
            "to": "text",
            "departure": "date",
            "return?": "date",
            "passengers": [{"name": "text", "age": "whole"}],
            "cabin": "economy|premium|business|first",
        },
        "convert_currency": {
            "amount": "number",
            "from": "EUR|USD|GBP|JPY",
            "to": "EUR|USD|GBP|JPY",
        },
        "set_thermostat": {"room": "text", "celsius": "number", "fan?": "percent"},
    }.items()
}
