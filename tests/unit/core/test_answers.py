"""Errors for answers of the API server, and of proxies before it."""

import pytest

from berth_core.kube import errors
from berth_core.kube.answers import error_of, from_status, object_of

NONE_OF_ITS = [b"", b"<html>sign in</html>", b"[]", b"null", b'"x"', b"7"]


@pytest.mark.parametrize("data", NONE_OF_ITS)
def test_an_answer_that_is_no_object_is_told_apart_from_what_it_says(data: bytes) -> None:
    with pytest.raises(errors.ClusterError, match="no answer of the cluster's API"):
        object_of(data)


@pytest.mark.parametrize("data", NONE_OF_ITS)
@pytest.mark.parametrize(("status", "kind"), [(404, errors.NotFoundError), (502, errors.UnavailableError)])
def test_an_error_counts_by_its_status_whatever_it_says(
    data: bytes, status: int, kind: type[errors.ClusterError]
) -> None:
    error = error_of(status, data, {"Retry-After": "soon"})
    assert type(error) is kind
    assert error.status == status
    assert error.message


def test_a_status_of_the_api_server_is_read() -> None:
    error = error_of(409, b'{"reason": "AlreadyExists", "message": "taken", "details": {"name": "a"}}', {})
    assert (type(error), error.message, error.details) == (errors.AlreadyExistsError, "taken", {"name": "a"})


RBAC = 'instances.berth.dev "x" is forbidden: User "api" cannot create resource "instances" in API group "berth.dev"'


@pytest.mark.parametrize(
    "message",
    [
        RBAC,
        f'{RBAC} in the namespace "lab": RBAC: role.rbac.authorization.k8s.io "berth-api" not found',
        'forbidden: User "berth-api" cannot get path "/readyz"',
        'pods "x" is forbidden: not yet ready to handle request',
    ],
)
def test_a_server_that_may_not_have_read_its_roles_yet_is_asked_again(message: str) -> None:
    error = from_status(403, {"reason": "Forbidden", "message": message}, 7.0)
    assert isinstance(error, errors.UnavailableError)
    assert isinstance(error, errors.ForbiddenError), "people are told that they lack the right"
    assert (error.status, error.retry_after, error.message) == (403, 7.0, message)


def test_a_server_that_cannot_look_up_who_asks_is_asked_again() -> None:
    error = from_status(401, {"reason": "Unauthorized", "message": "Unauthorized"}, 7.0)
    assert isinstance(error, errors.NoRightError)
    assert (error.status, error.retry_after) == (401, 7.0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (403, 'instances.berth.dev "x" is forbidden: exceeded quota: none, requested: count/instances.berth.dev=1'),
        (403, 'admission webhook "no.example.test" denied the request: no'),
        (
            403,
            "instances.berth.dev \"x\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no",
        ),
    ],
)
def test_what_admission_refuses_is_a_refusal(code: int, message: str) -> None:
    assert type(from_status(code, {"reason": "Forbidden", "message": message}, 1.0)) is errors.ForbiddenError
