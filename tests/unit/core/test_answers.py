"""What is made of answers, those of the API server and those of whatever stands before it."""

import pytest

from berth_core import errors
from berth_core.answers import error_of, object_of

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
