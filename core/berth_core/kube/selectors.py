"""Selectors of lists and watches for the query string. Pure."""

from collections.abc import Mapping


def selectors(labels: Mapping[str, str] | None, fields: Mapping[str, str] | None) -> dict[str, str]:
    """Return the query for labels (an empty value asks for the label itself) and fields."""
    query = {}
    if labels:
        query["labelSelector"] = ",".join(f"{k}={v}" if v else k for k, v in labels.items())
    if fields:
        query["fieldSelector"] = ",".join(f"{k}={_escaped(v)}" for k, v in fields.items())
    return query


def _escaped(value: str) -> str:
    # As apimachinery's fields.EscapeValue: a user's name must not add terms to the selector.
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
