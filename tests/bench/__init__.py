"""Speed beside etcd, measured by C load generators over loopback (`make bench`)."""
