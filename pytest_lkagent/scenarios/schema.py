"""The JSON Schema of scenario files: for editors, and for whoever writes such files by program."""

from __future__ import annotations

from typing import Any

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the format; `schema.json` beside this is a copy."""
    from pydantic.json_schema import GenerateJsonSchema  # here, as loading needs no pydantic

    from .format import FileFormat

    schema = _plain(FileFormat.model_json_schema(by_alias=True))
    title = "Scenarios of a LiveKit voice agent"
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": title}


def _plain(schema: Any, *, of_names: bool = False) -> Any:
    """Leave out what tells an editor nothing: titles made from names, defaults of null."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value, of_names=key in ("properties", "$defs") and not of_names)
        for key, value in schema.items()
        if of_names or not (key == "title" or (key == "default" and value is None))
    }
