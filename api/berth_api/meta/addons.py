"""Add-ons: /addon."""

from typing import Annotated, Any, Final, NoReturn

from fastapi import APIRouter, Path
from starlette.convertors import Convertor, register_url_convertor

from berth_api.http.errors import MissingError
from berth_api.http.schemas import Refusal

router = APIRouter(tags=["addons"])


class RestConvertor(Convertor[str]):
    """Rest of a path."""

    regex = "[A-Za-z0-9_][A-Za-z0-9_.~:@/-]{0,511}"

    def convert(self, value: str) -> str:
        """Return it."""
        return value

    def to_string(self, value: str) -> str:
        """Return it."""
        return value


register_url_convertor("rest", RestConvertor())

NONE: Final = "add-on not available"
PATH: Final = "/addon/{rest:rest}"
DESCRIBED: Final[dict[str, Any]] = {
    "summary": "Add-ons: there are none yet",
    "status_code": 404,
    "response_model": Refusal,
    "response_description": NONE,
}


@router.get(PATH, operation_id="addons_get", **DESCRIBED)
@router.post(PATH, operation_id="addons_post", **DESCRIBED)
@router.delete(PATH, operation_id="addons_delete", **DESCRIBED)
async def addon(rest: Annotated[str, Path(description="Whatever an add-on takes.")]) -> NoReturn:
    """Answer 404, which clients read as an add-on that is not active."""
    del rest
    raise MissingError(NONE)
