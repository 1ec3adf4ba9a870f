"""Requests for instances."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from berth_api.http.bodies import MOST_DEPLOYMENTS, said
from berth_api.reservations.wish import LaunchRequest


def _distinct(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(item.lower() for item in ids))


class LaunchAnyRequest(LaunchRequest):
    """Options of an instance, with the deployments to choose from; unknown options are ignored."""

    wds: Annotated[
        list[str],
        Field(min_length=1, max_length=MOST_DEPLOYMENTS),
        AfterValidator(_distinct),
        said(f"must have 1 to {MOST_DEPLOYMENTS} ids"),
    ] = Field(description="A list of deployment ids, all of one type.")


class Launched(BaseModel):
    """An instance that was made."""

    success: bool
    id: str
    sshkey: str | None = Field(
        None, description="Private key (PKCS#1 PEM) where the request gave no public one.", repr=False
    )
