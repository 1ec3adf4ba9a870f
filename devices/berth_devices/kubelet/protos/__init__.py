"""Messages of the kubelet's gRPC, made from its protos by `make generate`. Apache-2.0, The Kubernetes Authors."""
