//! krakend-bench
