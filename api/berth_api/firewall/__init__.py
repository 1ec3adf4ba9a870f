"""An instance's firewall: /firewall."""
