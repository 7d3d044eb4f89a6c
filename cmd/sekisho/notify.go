package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// notify tells the service manager how this process is (sd_notify(3)): a datagram
// to the socket that it names. Without one nothing is told.
func notify(state string) (err error) {
	address := os.Getenv("NOTIFY_SOCKET") // with a leading @ in the abstract namespace, as net has it
	if address == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	_, err = conn.Write([]byte(state))
	return err
}

// What a service manager wants to know.
const (
	stateReady    = "READY=1"
	stateStopping = "STOPPING=1"
)
