package main

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy is a link that can be made bad: an address on loopback that leads to
// another one.
type proxy struct {
	network, to string
	listener    net.Listener

	silent atomic.Bool  // what comes is dropped, and connections stay open
	delay  atomic.Int64 // of each piece, in nanoseconds
	loss   atomic.Int64 // of 1,000 pieces, those that must be sent again
	stalls atomic.Int64 // of 1,000 pieces, those that stall
	closed atomic.Bool  // nobody is let in

	mu          sync.Mutex
	connections map[net.Conn]bool
}

const (
	resent = 200 * time.Millisecond // until TCP sends again what was lost
	stall  = 5 * time.Second
)

// openProxy leads to an address, "unix" or "tcp".
func (l *lab) openProxy(network, to string) (*proxy, error) {
	listener, err := new(net.ListenConfig).Listen(l.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{network: network, to: to, listener: listener, connections: map[net.Conn]bool{}}
	l.cleanups = append(l.cleanups, p.close)
	go p.serve()
	return p, nil
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
}

// shut lets nobody in, and ends the connections there are.
func (p *proxy) shut() {
	p.closed.Store(true)
	p.cut()
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for connection := range p.connections {
		_ = connection.Close()
	}
	clear(p.connections)
}

func (p *proxy) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.closed.Load() {
			_ = near.Close()
			continue
		}
		go p.join(near)
	}
}

func (p *proxy) join(near net.Conn) {
	far, err := net.DialTimeout(p.network, p.to, 5*time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	p.mu.Lock()
	p.connections[near], p.connections[far] = true, true
	p.mu.Unlock()
	go p.carry(near, far)
	p.carry(far, near)
}

// carry takes what comes from one end to the other, in pieces.
func (p *proxy) carry(from, to net.Conn) {
	defer func() {
		_ = from.Close()
		_ = to.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.connections, from)
		delete(p.connections, to)
	}()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && !p.silent.Load() {
			time.Sleep(p.slowness())
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) slowness() time.Duration {
	slow := time.Duration(p.delay.Load())
	if rand.Int64N(1000) < p.loss.Load() { // no secret
		slow += resent
	}
	if rand.Int64N(1000) < p.stalls.Load() { // no secret
		slow += stall
	}
	return slow
}
