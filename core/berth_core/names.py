"""Names that the parts of Berth share (docs/explanation/architecture.md, "Names"). They are spelt out only here."""

import hashlib
from typing import Final

GROUP: Final = "berth.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

INSTANCE_LABEL: Final = "berth.dev/instance"
EPOCH_LABEL: Final = "berth.dev/epoch"
DEPLOYMENT_LABEL: Final = "berth.dev/deployment"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "berth"
WARM_LABEL: Final = "berth.dev/warm"
"""On a pod that was made before the lease of its epoch was taken, and on the objects of that pod (ADR 0013)."""
TYPE_LABEL: Final = "berth.dev/type"
"""On the pod of a lease, or of one to come: the WorkspaceType whose NetworkPolicy holds it (ADR 0046)."""
TYPE_UID_ANNOTATION: Final = "berth.dev/type-uid"
"""On that NetworkPolicy: the uid of its type. A type that comes again so has another version of it."""
MADE_FROM_ANNOTATION: Final = "berth.dev/made-from"
"""On a warm pod: digest of the specs that it was made from."""
NONCE_ANNOTATION: Final = "berth.dev/nonce"
"""On a warm pod: the nonce in the names of its Secrets; absent from pods that an earlier version made (ADR 0024)."""
HOST_KEY_ANNOTATION: Final = "berth.dev/host-key"
"""On a warm pod: the public half of its host key, which saves a read of the Secret when somebody gets the pod."""
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
PROBE_LABEL: Final = "berth.dev/probe"
"""On the pod and the NetworkPolicy that show whether NetworkPolicy is enforced: the pod's name (ADR 0015)."""
MACHINES_LABEL: Final = "berth.dev/machines"
"""On a DeviceClass, with any value: nobody but the operator claims its devices (ADR 0056)."""
FENCE_FINALIZER: Final = "berth.dev/fence"
FORCED_ANNOTATION: Final = "berth.dev/released-by-force"
"""On a pod: an administrator's reason to declare its containers gone although no kubelet reports it."""
IDEMPOTENCY_LABEL: Final = "berth.dev/idempotency"
"""On a Secret: it keeps the answer to a request with an Idempotency-Key. On objects of such a request: the key's."""
REFUSED_LABEL: Final = "berth.dev/refused-for"
"""On such a Secret: the user whose request was refused (``ids.user_object``). Of too many, the oldest are deleted."""
TOKEN_LABEL: Final = "berth.dev/token"  # noqa: S105 (a label)
"""On objects that a request over HTTP made: the token of the request (:func:`token_labels`)."""
IN_ADVANCE_LABEL: Final = "berth.dev/in-advance-for"
"""On a TokenRevocation: the user who revoked a token that Berth does not know (``ids.user_object``)."""
EXPIRES_ANNOTATION: Final = "berth.dev/expires"
"""On objects in the access namespace: time of their deletion (RFC 3339)."""
QUEUED_ANNOTATION: Final = "berth.dev/queued"
"""On Reservations of an export: their ``status.queued``, as the time (RFC 3339), a blank, and the version."""
PUBLIC_KEY_ANNOTATION: Final = "berth.dev/public-key"
"""On a Secret with a private key that Berth made for a user: the public key."""
HOOK_LABEL: Final = "berth.dev/hook"
"""On a Job that runs a hook of a lease, and on its pods: the hook's name."""
BUILD_LABEL: Final = "berth.dev/build"
"""On all objects of an attempt at a build: the build's public id."""
STEP_LABEL: Final = "berth.dev/build-step"
"""On the Jobs of a build and their pods: ``fetch`` or ``run``."""
ATTEMPT_LABEL: Final = "berth.dev/build-attempt"
"""On all objects of an attempt at a build: the number of the attempt."""
HEARTBEAT_LABEL: Final = "berth.dev/heartbeat"
"""On a Lease (coordination.k8s.io) that is named after a deployment: ``true`` makes its renewals heartbeats."""
PROTOCOL_ANNOTATION: Final = "berth.dev/protocol"
"""On the leader's Lease: number of the lease protocol that the last leader spoke."""
PROTOCOL: Final = 2
"""Version of the lease protocol. It grows when an older process could break assumptions of a newer operator.

Version 2 brought tombstones, nonces and terms. Operators and API processes refuse to run where a greater number was
written. Without the annotation it is 1.
"""
NEVER_MADE_LABEL: Final = "berth.dev/never-made"
"""On an Instance: it is a tombstone, which blocks the name of an Instance that was never made (ADR 0021)."""
RELEASE_REASON_ANNOTATION: Final = "berth.dev/release-reason"
"""On an Instance: the reason of the administrator who ended it."""

OPERATOR_MANAGER: Final = "berth-operator"
API_MANAGER: Final = "berth-api"
CLI_MANAGER: Final = "berth-cli"
NOTIFIER_MANAGER: Final = "berth-notifier"
DEVICES_MANAGER: Final = "berth-devices"

DEVICE_DRIVER: Final = "devices.berth.dev"
"""Name of Berth's driver for Dynamic Resource Allocation, of its DeviceClass, and the domain of its attributes."""

SSH_PORT: Final = 22
AGENT_PORT: Final = 8470
AGENT_CONTAINER: Final = "agent"
WORKSPACE_CONTAINER: Final = "workspace"
VPN_CONTAINER: Final = "vpn"
REPOSITORY_CONTAINER: Final = "repo"
"""Clones a repository into the workspace before the workspace starts, where its holder asked for one."""
HOOK_CONTAINER: Final = "hook"
WALL_CONTAINER: Final = "wall"
FETCH_CONTAINER: Final = "fetch"
CHECKOUT_CONTAINER: Final = "checkout"
SCRIPT_CONTAINER: Final = "script"
"""Containers whose output is a build's log, in this order: one of the Job ``fetch``, two of the Job ``run``."""
ARTIFACTS_CONTAINER: Final = "artifacts"
"""Runs beside the script and packs the files that it leaves."""
FETCH_STEP: Final = "fetch"
RUN_STEP: Final = "run"
"""Steps of a build: values of the label STEP_LABEL, and parts of the Jobs' names."""
SSH_PORT_NAME: Final = "ssh"
VPN_PORT: Final = 1194
VPN_PORT_NAME: Final = "vpn"

AGENT_CA_SECRET: Final = "berth-agent-ca"  # noqa: S105 (a Secret's name, not a secret)
SIGNING_SECRET: Final = "berth-token-signing"  # noqa: S105 (the same)
VERIFICATION_CONFIGMAP: Final = "berth-token-verification"
ACTIVE_KID_ANNOTATION: Final = "berth.dev/active-kid"
"""On the signing Secret: the key that signs."""
NEXT_KID_ANNOTATION: Final = "berth.dev/next-kid"
"""On the signing Secret: the key that signs from the time in NEXT_FROM_ANNOTATION on; not yet without that."""
NEXT_FROM_ANNOTATION: Final = "berth.dev/next-from"
KEYS_SINCE_ANNOTATION: Final = "berth.dev/keys-since"
"""On the signing Secret: times at which the keys were made; a JSON object of kid to time (RFC 3339)."""
KID_ANNOTATION: Final = "berth.dev/kid"
"""On an IssuedToken: the key that signed it."""
JWKS_KEY: Final = "jwks.json"
WEBHOOK_SECRET: Final = "berth-webhook-signing"  # noqa: S105 (the same)
WEBHOOK_CONFIGMAP: Final = "berth-webhook-key"
WEBHOOK_PRIVATE_KEY: Final = "ed25519.pem"
WEBHOOK_MASTER: Final = "master"
"""Keys of the Secret that signs webhooks (``berth_core.keys.webhooks``)."""
WEBHOOK_PUBLIC_KEY: Final = "public-key"
"""Key of the ConfigMap with the public half."""

LEASES_BUDGET: Final = "berth-leases"
"""PodDisruptionBudget of a workspace namespace, which the chart makes."""
CLOSED_POLICY: Final = "berth-closed"
"""NetworkPolicy of a workspace namespace, which the chart makes: what no other one opens is closed."""
RELEASE_CONFIGMAP: Final = "berth-release"
"""ConfigMap of a workspace namespace that names the release that leads there."""
ARCHIVE_OWNER_ANNOTATION: Final = "berth.dev/archive-owner"
"""On that ConfigMap: uid of an earlier one, whose folder in the archive belongs to this installation too."""
RELEASE_KEY: Final = "release"
"""Key of that ConfigMap: the release's namespace."""

HOST_KEY: Final = "ssh_host_ed25519_key"
INITIAL_STATE_KEY: Final = "initial.json"
PRIVATE_KEY: Final = "id_rsa"
VPN_PROFILE: Final = "profile.ovpn"
PART_KEY: Final = "part"
"""Key of a ConfigMap (``binaryData``) that holds a part of a build's log or artifacts."""
STATUS_TOKEN: Final = "token"  # noqa: S105 (a key of a Secret)
STATUS_URL: Final = "url"
"""Keys of a Secret with the token of a receiver of commit statuses: the token, and the prefix of allowed URLs."""
PASSWORD_HASH: Final = "hash"  # noqa: S105 (a key of a Secret)
OPERATOR_DNS: Final = "operator.berth.internal"

_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
RESERVED: Final = (
    f"([bimvw]|turn|status)-{_UUID}.*|p-[0-9a-f]{{40}}|berth-type-.*|berth-probe-.*"
    f"|{RELEASE_CONFIGMAP}|{LEASES_BUDGET}|{CLOSED_POLICY}"
)
"""Names that only Berth gives in workspace namespaces: a regular expression, for the chart's policies."""


def instance_object(instance_id: str) -> str:
    """Name of an instance's pod, Service and NetworkPolicy, and of its Secret for users."""
    return f"i-{instance_id}"


def inbound_object(deployment_id: str) -> str:
    """Name of the Service by which the machine of a deployment (public id) reaches its workspaces."""
    return f"m-{deployment_id}"


def warm_object(deployment_id: str, epoch: int) -> str:
    """Name of the pod that is kept warm for an epoch of a deployment (public id), of its Service and NetworkPolicy."""
    return f"w-{deployment_id}-e{epoch}"


def type_policy(type_name: str) -> str:
    """Name of the NetworkPolicy of all pods of a WorkspaceType, by the type's ``metadata.name``."""
    return f"berth-type-{type_name}"


def keep_alive_lease(instance_id: str) -> str:
    """Name of the Lease (coordination.k8s.io) that an instance's keep-alive pings renew."""
    return f"i-{instance_id}"


def workspace_secret(instance_id: str, epoch: int, nonce: str | None) -> str:
    """Name of the Secret that the workspace container mounts; without a nonce, the name in an earlier version."""
    return _with_nonce(f"i-{instance_id}-e{epoch}", nonce)


def warm_secret(pod: str, nonce: str | None) -> str:
    """Name of the Secret that a warm pod's workspace container mounts, by the pod's name."""
    return _with_nonce(pod, nonce)


def agent_secret(workspace: str) -> str:
    """Name of the Secret that the agent mounts, by the name of the workspace's Secret."""
    return f"{workspace}-agent"


def vpn_secret(workspace: str) -> str:
    """Name of the Secret with the VPN's authority and its server's keys, by the name of the workspace's Secret."""
    return f"{workspace}-vpn"


def vpn_profile(client_id: str) -> str:
    """Name of the Secret with the profile of a VPN's client, in the access namespace."""
    return f"v-{client_id}"


def claim_object(instance_id: str, epoch: int, device: str) -> str:
    """Name of the ResourceClaim for a device of one lease's machine."""
    return f"i-{instance_id}-e{epoch}-{device}"


def hook_object(instance_id: str, epoch: int, hook: str) -> str:
    """Name of the Job that runs a hook of one lease."""
    return f"i-{instance_id}-e{epoch}-{hook}"


def hook_secret(job: str, nonce: str | None) -> str:
    """Name of the Secret without which a hook's Job cannot start, by the Job's name."""
    return _with_nonce(job, nonce)


def project_object(name: str) -> str:
    """Name of the Project that the API makes, by the name that clients use."""
    return "p-" + hashlib.sha256(name.encode()).hexdigest()[:40]


def build_job(build_id: str, attempt: int, step: str) -> str:
    """Name of the Job of a build's attempt: ``fetch``, or ``run``."""
    return f"b-{build_id}-{attempt}-{step}"


def build_object(build_id: str, attempt: int) -> str:
    """Name of a build attempt's Instance, of the Secret with the key to it, and of its NetworkPolicy."""
    return f"b-{build_id}-{attempt}"


def build_secret(build_id: str, attempt: int, nonce: str) -> str:
    """Name of the Secret without which the script of a build's attempt does not start (ADR 0024)."""
    return _with_nonce(build_object(build_id, attempt), nonce)


def build_part(build_id: str, attempt: int, what: str, number: int) -> str:
    """Name of a ConfigMap with a part of a build attempt's ``log`` or ``artifacts``."""
    return f"b-{build_id}-{attempt}-{what}-{number}"


def attempt_of_part(name: str) -> int | None:
    """Number of the attempt in a name of :func:`build_part`; None for other names."""
    words = name.rsplit("-", 3)
    return int(words[1]) if len(words) == 4 and words[1].isdecimal() else None


def build_labels(build_id: str, attempt: int) -> dict[str, str]:
    """Labels of all objects of an attempt at a build."""
    return {BUILD_LABEL: build_id, ATTEMPT_LABEL: str(attempt), MANAGED_BY_LABEL: MANAGED_BY}


def password_secret(account: str) -> str:
    """Name of the Secret with the password's hash of an account (the Account's name)."""
    return f"{account}-password"


def delivery(reservation_uid: str) -> str:
    """Name of the Delivery about a reservation's turn: one for each, so that creation is idempotent."""
    return f"turn-{reservation_uid}"


def status_delivery(build_uid: str, attempt: int, step: int) -> str:
    """Name of the Delivery about the progress of a build's attempt: one for each step."""
    return f"status-{build_uid}-{attempt}-{step}"


def agent_dns(pod: str, epoch: int) -> str:
    """DNS name in the certificate of the agent of one lease, by the name of its pod."""
    return f"e{epoch}.{pod}.agent.berth.internal"


def epoch_labels(epoch: int, deployment: str) -> dict[str, str]:
    """Labels of all objects of one epoch of a deployment, with or without a holder."""
    return {EPOCH_LABEL: str(epoch), DEPLOYMENT_LABEL: deployment, MANAGED_BY_LABEL: MANAGED_BY}


def type_labels(type_name: str) -> dict[str, str]:
    """Label by which the NetworkPolicy of a type chooses its pods."""
    return {TYPE_LABEL: type_name}


def lease_labels(instance_id: str, epoch: int, deployment: str) -> dict[str, str]:
    """Labels of all objects of one lease."""
    return {INSTANCE_LABEL: instance_id, **epoch_labels(epoch, deployment)}


def _with_nonce(name: str, nonce: str | None) -> str:
    return f"{name}-{nonce}" if nonce else name


def token_labels(sha256: str) -> dict[str, str]:
    """Label on objects that a request with a token made: the first 63 digits of the token's SHA-256."""
    return {TOKEN_LABEL: sha256[:63]}
