//! tests/local-cluster
