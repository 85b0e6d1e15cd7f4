//! krakend-cluster-manager
