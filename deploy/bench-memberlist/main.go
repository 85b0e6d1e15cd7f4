// A pool of memberlist members on loopback, the peer of `cargo xtask bench gossip`: kills one after the other and
// says how long it took until all others knew. Settings are memberlist's own for a local network, with its
// encryption switched on, because the other side authenticates every packet, too.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

type report struct {
	AllS            []float64 `json:"all_s"`
	FalseDowns      int       `json:"false_downs"`
	BytesPerMemberS float64   `json:"bytes_per_member_s"`
}

// Payload sent by anybody, over UDP and over TCP.
var sent atomic.Int64

// What goes out is counted; a connection's both directions at the end that dialled. Datagrams get lost by chance, what
// goes over connections does not.
type counted struct {
	*memberlist.NetTransport
	loss float64
}

func (t *counted) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *counted) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	sent.Add(int64(len(b)))
	if rand.Float64() < t.loss {
		return time.Now(), nil
	}
	return t.NetTransport.WriteToAddress(b, a)
}

func (t *counted) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := t.NetTransport.DialTimeout(addr, timeout)
	return wrap(conn), err
}

func (t *counted) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.NetTransport.DialAddressTimeout(a, timeout)
	return wrap(conn), err
}

type countedConn struct{ net.Conn }

func wrap(conn net.Conn) net.Conn {
	if conn == nil {
		return nil
	}
	return &countedConn{conn}
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	sent.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	sent.Add(int64(n))
	return n, err
}

// Who has heard of whose end.
type watch struct {
	mu   sync.Mutex
	left map[string]map[string]time.Time
}

type delegate struct {
	me    string
	watch *watch
}

func (d *delegate) NotifyJoin(*memberlist.Node)   {}
func (d *delegate) NotifyUpdate(*memberlist.Node) {}
func (d *delegate) NotifyLeave(n *memberlist.Node) {
	d.watch.mu.Lock()
	defer d.watch.mu.Unlock()
	if d.watch.left[n.Name] == nil {
		d.watch.left[n.Name] = map[string]time.Time{}
	}
	d.watch.left[n.Name][d.me] = time.Now()
}

func start(index int, loss float64, w *watch) (*memberlist.Memberlist, error) {
	config := memberlist.DefaultLANConfig()
	config.Name = fmt.Sprintf("member-%03d", index)
	config.BindAddr, config.AdvertiseAddr = "127.0.0.1", "127.0.0.1"
	config.BindPort, config.AdvertisePort = 0, 0
	config.LogOutput = io.Discard
	config.SecretKey = make([]byte, 32)
	config.Events = &delegate{config.Name, w}
	net, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{"127.0.0.1"}, BindPort: 0, Logger: nil,
	})
	if err != nil {
		return nil, err
	}
	config.BindPort, config.AdvertisePort = net.GetAutoBindPort(), net.GetAutoBindPort()
	config.Transport = &counted{net, loss}
	return memberlist.Create(config)
}

func run(members, kills int, loss float64, quiet time.Duration) (*report, error) {
	w := &watch{left: map[string]map[string]time.Time{}}
	var pool []*memberlist.Memberlist
	for index := 0; index < members; index++ {
		member, err := start(index, loss, w)
		if err != nil {
			return nil, err
		}
		if index > 0 {
			if _, err := member.Join([]string{pool[0].LocalNode().Address()}); err != nil {
				return nil, err
			}
		}
		pool = append(pool, member)
	}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		complete := true
		for _, member := range pool {
			complete = complete && member.NumMembers() == members
		}
		if complete {
			break
		}
		if time.Since(begin) > time.Minute {
			return nil, fmt.Errorf("the %d members did not find each other in a minute", members)
		}
	}
	time.Sleep(5 * time.Second)
	before := sent.Load()
	time.Sleep(quiet)
	result := &report{BytesPerMemberS: float64(sent.Load()-before) / float64(members) / quiet.Seconds()}
	killed := map[string]bool{}
	for kill := 0; kill < kills; kill++ {
		dead := pool[len(pool)-1]
		pool = pool[:len(pool)-1]
		begin := time.Now()
		if err := dead.Shutdown(); err != nil {
			return nil, err
		}
		name := dead.LocalNode().Name
		for {
			time.Sleep(10 * time.Millisecond)
			w.mu.Lock()
			known := len(w.left[name])
			w.mu.Unlock()
			if known >= len(pool) {
				break
			}
			if time.Since(begin) > 2*time.Minute {
				return nil, fmt.Errorf("%d of %d know of a death after two minutes", known, len(pool))
			}
		}
		result.AllS = append(result.AllS, time.Since(begin).Seconds())
		killed[name] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, by := range w.left {
		if !killed[name] {
			result.FalseDowns += len(by)
		}
	}
	return result, nil
}

func main() {
	members := flag.Int("members", 30, "size of the pool")
	kills := flag.Int("kills", 3, "deaths, one after the other")
	quiet := flag.Duration("quiet", 30*time.Second, "how long traffic is measured")
	loss := flag.Float64("loss", 0, "share of the datagrams that get lost")
	flag.Parse()
	result, err := run(*members, *kills, *loss, *quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
}
