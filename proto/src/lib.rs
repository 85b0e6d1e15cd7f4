//! krakend-proto
