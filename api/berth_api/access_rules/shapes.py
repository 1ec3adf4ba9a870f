"""How access rules look to clients. Pure."""

from berth_api.http.answers import Shape
from berth_core import ids
from berth_core.resources import AccessRule


def access_rule(rule: AccessRule) -> Shape:
    """Shape an access rule."""
    metadata, spec = rule.metadata, rule.spec
    return {
        "id": spec.rule_id,
        "date_created": metadata.creation_timestamp,
        "user": spec.user,
        "wdeployment_id": ids.deployment_id(metadata.namespace, spec.deployment),
        "capability": spec.capability,
        "param": spec.param,
    }
