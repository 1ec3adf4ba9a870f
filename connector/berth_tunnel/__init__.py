"""The link between a connector and the hub: HTTP/2 over a connection that the connector opened (ADR 0057).

Both sides have this package: the connector on its host, Python 3.9 or later, and the hub. It needs h2 and the standard
library.
"""
