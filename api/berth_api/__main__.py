"""Entry point ``berth-api``."""

import os
import signal
import sys
from pathlib import Path

import structlog
import uvicorn

from berth_api import metrics
from berth_api.app import make_app
from berth_api.config import from_environment
from berth_api.http.protocol import Protocol
from berth_api.ratelimit.shared import store_url
from berth_api.tls.certificate import Certificate, CertificateError
from berth_core.process import logs
from berth_core.process.settings import SettingError

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 20


def main() -> None:
    """Serve until SIGTERM; exit status 1 beside the leader of a newer version, 2 where the configuration is wrong."""
    logs.configure()
    try:
        config = from_environment(os.environ)
        if config.kubeconfig is not None and not Path(config.kubeconfig).is_file():
            raise SettingError(f"KUBECONFIG={config.kubeconfig} is no file: correct the path, or unset it in a pod")
        if config.rate_limit.redis_url is not None:
            store_url(config.rate_limit.redis_url)
        certificate = Certificate(config.tls_folder) if config.tls_folder is not None else None
        metrics.serve(config.metrics_listen)
    except (SettingError, CertificateError, OSError) as error:
        structlog.get_logger(__name__).error("cannot start", error=str(error))
        sys.exit(2)
    app = make_app(config, certificate)
    Protocol.most_connections = config.most_connections
    Protocol.body_seconds = config.body_seconds
    # uvicorn raises the signal again after its shutdown: the process exits here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(app.state.exit_status))
    uvicorn.run(
        app,
        host=config.listen.host,
        port=config.listen.port,
        loop="berth_api.tls.listening:Loop",
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # The peer's address follows from BERTH_TRUSTED_PROXIES alone (http/client_address.py).
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
