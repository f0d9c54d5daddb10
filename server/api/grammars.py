"""Grammars: the fields in which other servers' clients say what an answer must keep to."""

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from server.api.http.body import Body, ClosedBody, Items
from server.api.unsupported import Empty, Off, Only
from server.engine.grammar import MAX_BYTES, Grammar
from server.errors import InvalidRequest

MAX_CHOICES = 1024

Schema: TypeAlias = dict[str, Any] | bool
"""A JSON schema of any draft."""
SchemaOrText: TypeAlias = Schema | Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]
"""A schema, or the text of one."""
Tag: TypeAlias = dict[str, Any] | Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]
"""A structural tag, or the text of one."""
Source: TypeAlias = Annotated[str, Field(max_length=MAX_BYTES)]
Choices: TypeAlias = Annotated[
    Items[Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]],
    Field(min_length=1, max_length=MAX_CHOICES),
]

ANY_OBJECT: Schema = {"type": "object"}


class TextFormat(ClosedBody):
    """An answer in any words."""

    type: Literal["text"]


class ObjectFormat(ClosedBody):
    """An answer that is a JSON object; llama.cpp's and text-generation's clients add a schema."""

    type: Literal["json_object"]
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    value: Schema | None = None


class NamedSchema(ClosedBody):
    """A schema and what it is called; an answer keeps to it whether it is `strict` or not."""

    name: Annotated[str, Field(max_length=256)] = ""
    description: str = ""
    schema_: Annotated[Schema, Field(alias="schema")] = Field(default_factory=ANY_OBJECT.copy)
    strict: bool | None = None


class SchemaFormat(ClosedBody):
    """An answer that a JSON schema lets pass."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class StructuralTagFormat(ClosedBody):
    """vLLM's: an answer that is free in places, by a `format` or by `structures` and `triggers`."""

    type: Literal["structural_tag"]
    format: dict[str, Any] | None = None
    structures: Items[dict[str, Any]] | None = None
    triggers: Items[str] | None = None


ResponseFormat: TypeAlias = Annotated[
    TextFormat | ObjectFormat | SchemaFormat | StructuralTagFormat, Field(discriminator="type")
]


class NamedSchemaFormat(NamedSchema):
    """The same as OpenAI's responses have it, the schema beside its type."""

    type: Literal["json_schema"]


class TextOptions(ClosedBody):
    """OpenAI's `text` of a response: what its text keeps to."""

    format: Annotated[
        TextFormat | ObjectFormat | NamedSchemaFormat, Field(discriminator="type")
    ] = TextFormat(type="text")
    verbosity: Annotated[Any, Only("medium")] = None

    def grammars(self) -> list[Grammar]:
        """Those that are asked for."""
        if isinstance(self.format, NamedSchemaFormat):
            return _schemas(self.format.schema_, "text.format.schema")
        return _formats(self.format, "text.format")


class StructuredOutputs(ClosedBody):
    """vLLM's: one form that an answer keeps to."""

    json_: Annotated[SchemaOrText | None, Field(alias="json")] = None
    regex: Source | None = None
    choice: Choices | None = None
    grammar: Source | None = None
    json_object: bool = False
    structural_tag: Tag | None = None
    whitespace_pattern: Empty = None
    disable_fallback: bool = False
    disable_any_whitespace: bool = True
    disable_additional_properties: Off = None

    def grammars(self, name: str) -> list[Grammar]:
        """Those that are asked for; `name` is the field that holds them."""
        return [
            *_schemas(self.json_, f"{name}.json"),
            *_texts("regex", self.regex, f"{name}.regex"),
            *_choices(self.choice, f"{name}.choice"),
            *_texts("grammar", self.grammar, f"{name}.grammar"),
            *_schemas(ANY_OBJECT if self.json_object else None, f"{name}.json_object"),
            *_tags(self.structural_tag, f"{name}.structural_tag"),
        ]


class GrammarFields(Body):
    """OpenAI's, vLLM's and llama.cpp's fields; a request may use one of them."""

    response_format: ResponseFormat = TextFormat(type="text")
    structured_outputs: StructuredOutputs = StructuredOutputs()
    guided_json: SchemaOrText | None = None
    guided_regex: Source | None = None
    guided_choice: Choices | None = None
    guided_grammar: Source | None = None
    guided_json_object: bool = False
    guided_decoding_backend: Empty = None
    guided_whitespace_pattern: Empty = None
    structural_tag: Tag | None = None
    json_schema: Schema | None = None
    grammar: Source | None = None

    def asked_grammar(self) -> Grammar | None:
        """What the answer must keep to; raises InvalidRequest if that is several things."""
        return only(self.grammars())

    def grammars(self) -> list[Grammar]:
        """All that are asked for."""
        return [
            *_formats(self.response_format, "response_format"),
            *self.structured_outputs.grammars("structured_outputs"),
            *_schemas(self.guided_json, "guided_json"),
            *_texts("regex", self.guided_regex, "guided_regex"),
            *_choices(self.guided_choice, "guided_choice"),
            *_texts("grammar", self.guided_grammar, "guided_grammar"),
            *_schemas(ANY_OBJECT if self.guided_json_object else None, "guided_json_object"),
            *_tags(self.structural_tag, "structural_tag"),
            *_schemas(self.json_schema, "json_schema"),
            *_texts("grammar", self.grammar, "grammar"),
        ]


class NativeGrammar(Body):
    """Our own route's fields, of which a request may use one."""

    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    regex: Source | None = None
    choice: Choices | None = None
    grammar: Source | None = None
    response_format: Empty = None
    structured_outputs: Empty = None
    guided_json: Empty = None
    guided_regex: Empty = None
    guided_choice: Empty = None
    guided_grammar: Empty = None
    json_schema: Empty = None

    def asked_grammar(self) -> Grammar | None:
        """What the answer must keep to; raises InvalidRequest if that is several things."""
        return only(
            [
                *_schemas(self.schema_, "parameters.schema"),
                *_texts("regex", self.regex, "parameters.regex"),
                *_choices(self.choice, "parameters.choice"),
                *_texts("grammar", self.grammar, "parameters.grammar"),
            ]
        )


def only(grammars: list[Grammar]) -> Grammar | None:
    """The one grammar of a request, if there is one."""
    if len(grammars) > 1:
        names = ", ".join(grammar.param for grammar in grammars)
        message = f"An answer keeps to one form, but these ask for several: {names}. Send one."
        raise InvalidRequest(message, grammars[1].param)
    return grammars[0] if grammars else None


def _formats(
    asked: TextFormat | ObjectFormat | SchemaFormat | StructuralTagFormat, param: str
) -> list[Grammar]:
    if isinstance(asked, StructuralTagFormat):
        return _tags(asked.model_dump(exclude_none=True), param)
    if isinstance(asked, SchemaFormat):
        return _schemas(asked.json_schema.schema_, f"{param}.json_schema.schema")
    if isinstance(asked, ObjectFormat):
        schemas = [each for each in (asked.schema_, asked.value) if each is not None]
        return [
            grammar for schema in schemas or [ANY_OBJECT] for grammar in _schemas(schema, param)
        ]
    return []


def _schemas(schema: SchemaOrText | None, param: str) -> list[Grammar]:
    if schema is None:
        return []
    if isinstance(schema, str):
        return [Grammar("json_schema", schema, param)]
    return [Grammar.of_schema(schema, param)]


def _tags(tag: Tag | None, param: str) -> list[Grammar]:
    if tag is None:
        return []
    source = tag if isinstance(tag, str) else json.dumps(tag, separators=(",", ":"))
    return [Grammar("structural_tag", source, param)]


def _texts(form: Literal["regex", "grammar"], source: str | None, param: str) -> list[Grammar]:
    return [Grammar(form, source, param)] if source else []


def _choices(texts: list[str] | None, param: str) -> list[Grammar]:
    return [] if texts is None else [Grammar.of_choices(texts, param)]
