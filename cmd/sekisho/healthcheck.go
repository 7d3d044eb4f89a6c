package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthcheckCommand asks a server on this machine whether it is ready, for
// container engines whose images have no other program to ask with.
type healthcheckCommand struct {
	OpsListen string        `env:"SEKISHO_OPS_LISTEN" default:"localhost:8081" placeholder:"ADDRESS" help:"Operators' listener of the server (${default})."`
	Timeout   time.Duration `default:"3s" help:"How long to wait for an answer (${default})."`
}

func (c healthcheckCommand) Run(ctx context.Context, term terminal) error {
	host, port, err := net.SplitHostPort(c.OpsListen)
	if err != nil {
		return fmt.Errorf("--ops-listen: %q is no address to ask at", c.OpsListen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens everywhere
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.ask(ctx, term, "http://"+net.JoinHostPort(host, port)+"/readyz")
}

const longestAnswer = 4 << 10

func (c healthcheckCommand) ask(ctx context.Context, term terminal, url string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	// No proxy of the environment: the server is on this machine.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	said, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", said)
	}
	_, err = term.out.Write(said)
	return err
}
