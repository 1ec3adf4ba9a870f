"""The kubelet's gRPC: the registration of the plugin, and the calls that prepare claims."""
