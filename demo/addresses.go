package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// FirstPort is the port of the authorization server in the example; the other
// six follow it.
const FirstPort = 4400

// Addresses says where each server of the example listens, as host:port.
type Addresses struct {
	Server  string // the authorization server
	Page    string // the page that shows what happens
	App     string
	Market  string
	Pay     string
	Crypto  string
	Partner string
}

// Ports gives seven addresses on localhost from first on. Zero lets the system
// choose free ports.
func Ports(first int) Addresses {
	at := func(offset int) string {
		if first == 0 {
			return "localhost:0"
		}
		return net.JoinHostPort("localhost", strconv.Itoa(first+offset))
	}
	return Addresses{Server: at(0), Page: at(1), App: at(2), Market: at(3), Pay: at(4), Crypto: at(5), Partner: at(6)}
}

// listeners are the taken ports, by party.
type listeners map[string]net.Listener

// listen takes all ports or none.
func listen(ctx context.Context, addresses Addresses) (listeners, error) {
	taken := listeners{}
	for _, one := range []struct{ party, address string }{
		{partyServer, addresses.Server},
		{partyPage, addresses.Page},
		{partyApp, addresses.App},
		{partyMarket, addresses.Market},
		{partyPay, addresses.Pay},
		{partyCrypto, addresses.Crypto},
		{partyPartner, addresses.Partner},
	} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", one.address)
		if err != nil {
			return nil, errors.Join(portError(one.party, one.address, err), taken.close())
		}
		taken[one.party] = listener
	}
	return taken, nil
}

func portError(party, address string, err error) error {
	if party == partyServer {
		party = "the authorization server"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use, and %s needs it: stop what listens there, or choose other ports with --port", address, party)
	}
	return fmt.Errorf("%s cannot listen on %s (see --port): %w", party, address, err)
}

func (l listeners) close() error {
	var faults []error
	for _, listener := range l {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// url is the address of a party as browsers and callers write it.
func (l listeners) url(party string) string {
	port := l[party].Addr().(*net.TCPAddr).Port
	return "http://" + net.JoinHostPort("localhost", strconv.Itoa(port))
}
