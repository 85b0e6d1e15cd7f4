// An etcd member, built from the published module: the peer of `cargo xtask bench group`.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
