from pathlib import Path

import pytest

from berth_core.archive.settings import ArchiveSettings, archive_settings


def test_nothing_names_no_archive() -> None:
    assert archive_settings({}) is None
    assert archive_settings({"BERTH_ARCHIVE": " "}) is None


def test_a_folder() -> None:
    assert archive_settings({"BERTH_ARCHIVE": "file:///var/lib/a"}) == ArchiveSettings(folder=Path("/var/lib/a"))


def test_a_bucket_with_all_that_names_it() -> None:
    variables = {
        "BERTH_ARCHIVE": "s3://lab/a/b/",
        "BERTH_ARCHIVE_ENDPOINT": "https://s3.example.test/",
        "BERTH_ARCHIVE_REGION": "eu-1",
        "BERTH_ARCHIVE_KEY_ID": "me",
        "BERTH_ARCHIVE_SECRET": "hidden",
        "BERTH_ARCHIVE_CA_FILE": "/ca.crt",
    }
    found = archive_settings(variables)
    assert found == ArchiveSettings(
        bucket="lab",
        prefix="a/b",
        endpoint="https://s3.example.test",
        region="eu-1",
        ca_file=Path("/ca.crt"),
        key_id="me",
        secret="hidden",
    )
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("text", ["lab", "s3:///x", "file://host/x", "file:x", "https://lab/x", "s3://lab/x?y"])
def test_what_names_no_place_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write s3://BUCKET/PREFIX or file:///FOLDER"):
        archive_settings({"BERTH_ARCHIVE": text})


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(ValueError, match="BERTH_ARCHIVE_ENDPOINT"):
        archive_settings({"BERTH_ARCHIVE": "s3://lab", "BERTH_ARCHIVE_ENDPOINT": "s3.example.test"})
