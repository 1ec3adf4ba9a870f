"""Bodies of requests: pydantic models, and the texts of the contract for values that they refuse.

FastAPI would read a body before the token is checked, and go by its Content-Type. Here a dependency reads it in its
turn, whatever the Content-Type says; :mod:`berth_api.http.openapi` finds the model in it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar, get_origin

import orjson
from fastapi import Depends, Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from berth_api.http.errors import BadRequestError
from berth_api.http.requests import read_body

MOST_SECONDS: Final = 2**31 - 1
MOST_DEPLOYMENTS: Final = 256
LONGEST_URL: Final = 2048
M = TypeVar("M", bound=BaseModel)


class Options(BaseModel):
    """Base of bodies: unknown options are ignored, null means absent, and types are strict.

    A validator's ValueError goes on after "value for option `x`"; one of the whole model is the whole text.
    """

    model_config = ConfigDict(strict=True, frozen=True)
    CLEARABLE: ClassVar[frozenset[str]] = frozenset()
    """Options whose null says something else than their absence: that the thing is to be taken away."""

    @model_validator(mode="before")
    @classmethod
    def _need_required(cls, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return body
        options = {name: value for name, value in body.items() if value is not None or name in cls.CLEARABLE}
        for name, field in cls.model_fields.items():
            if not field.is_required() or name in options:
                continue
            if get_origin(field.annotation) is not Literal:
                meaning = (field.description or "").partition(",")[0].partition(";")[0].rstrip(".")
                raise ValueError(f"option `{name}` is required: {_uncapitalized(meaning)}")
            options[name] = None  # the refusal names the values
        return options

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Let null stand in the place of every default."""
        schema = handler(core)
        fields = handler.resolve_ref_schema(schema)["properties"]
        for name, field in cls.model_fields.items():
            if field.default is not None and not field.is_required():
                notes = {key: fields[name].pop(key) for key in ("default", "description", "title")}
                fields[name] = {"anyOf": [fields[name], {"type": "null"}], **notes}
        return schema


class Bound(Generic[M]):
    """Dependency that reads the body as a model."""

    def __init__(self, model: type[M]) -> None:
        self.model = model

    async def __call__(self, request: Request) -> M:
        """Read it. Raises BadRequestError, TooLargeError."""
        return bind(self.model, await get_body(request))


def bound(model: type[BaseModel]) -> Any:
    """Annotation that binds a parameter of a route to the body."""
    return Depends(Bound(model))


async def get_body(request: Request) -> Mapping[str, Any]:
    """Read the body as a JSON object, whatever its Content-Type; none is an empty object."""
    data = await read_body(request)
    if not data.strip():
        return {}
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadRequestError("request body is not a JSON object")
    return parsed


def bind(model: type[M], body: Mapping[str, Any]) -> M:
    """Read an object as a model. Raises BadRequestError, which names the first wrong option."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise BadRequestError(_refusal(error)) from error


def takes_nothing(model: type[BaseModel]) -> bool:
    """Whether a model takes an empty object."""
    try:
        bind(model, {})
    except BadRequestError:
        return False
    return True


def said(text: str) -> WrapValidator:
    """Say what a value must be, where it has the right type: ``text`` goes on after "value for option `x`"."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            if _is_of_type(error.errors()[0]["type"]):
                raise
            raise ValueError(text) from error

    return WrapValidator(check)


def _refusal(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    reason = first["ctx"]["error"] if first["type"] == "value_error" else None
    if not first["loc"]:
        return str(reason or first["msg"])
    option, *inner = first["loc"]
    if inner and reason is not None:
        path = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        return f"value for option `{path}` {reason}"
    no_word = first["type"] == "literal_error" and not isinstance(first["input"], str | None)
    if inner or no_word or _is_of_type(first["type"]):
        return f"value for option `{option}` has wrong type"
    text = reason or first["msg"].replace("Input should be", "must be").replace("'", "`")
    return f"value for option `{option}` {text}"


def _is_of_type(kind: str) -> bool:
    return kind.endswith("_type")


def _uncapitalized(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def integral(value: Any) -> Any:
    """Read 5.0 as 5: JSON knows one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Seconds = Annotated[
    int,
    Field(ge=1, le=MOST_SECONDS),
    BeforeValidator(integral),
    said("must be a positive number of seconds"),
]
