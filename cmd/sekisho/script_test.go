package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sekisho": main})
}

// TestScripts tells the stories of the command line, one file each.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: serviceCommands(t, map[string]func(*testscript.TestScript, bool, []string){
			"listen":     listen,
			"deliveries": deliveries,
			"postgres":   newDatabase(t),
		}),
		Condition: func(condition string) (bool, error) {
			if condition != "postgres" {
				return false, fmt.Errorf("unknown condition %s", condition)
			}
			return postgrestest.Installed(), nil
		},
	})
}

// newDatabase makes the command postgres VARIABLE, which puts the URL of a new
// database, with a password in it, into the variable. All scripts share a server.
func newDatabase(t *testing.T) func(*testscript.TestScript, bool, []string) {
	server := sync.OnceValue(func() *postgrestest.Server { return postgrestest.New(t) })
	return func(ts *testscript.TestScript, _ bool, args []string) {
		name := "script_" + strings.ToLower(rand.Text())
		server().Exec(t, "CREATE DATABASE "+name)
		ts.Setenv(args[0], server().URL(name)+"&password=hunter2")
	}
}

// listen VARIABLE takes a port on localhost until the script ends and puts its
// number into the variable.
func listen(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "localhost:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// deliveries DATABASE writes a stream of the client crypto.backend into the
// database, with three deliveries: one was delivered an hour ago, one is dead, one
// has failed and waits. The script has no receiver that could ask for them.
func deliveries(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	database, err := db.Open(ctx, ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { ts.Check(database.Close()) }()
	hourAgo := time.Now().Add(-time.Hour)
	ts.Check(database.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO event_stream (id, client, receiver, method, endpoint, credential, requested, description, status,
				reason, created_at, updated_at, verified_at, retry_at, failing_since, failures)
			VALUES ('s1', 'crypto.backend', 'crypto', 'urn:ietf:rfc:8935', 'https://crypto.example/events', NULL, '', '', 'enabled',
				'', 0, 0, 0, 0, 0, 0)`)
		if err != nil {
			return err
		}
		var list []outbox.Delivery
		for i, id := range []string{"done1", "dead1", "wait1"} {
			list = append(list, outbox.Delivery{
				Stream: "s1", ID: id, Type: "https://api.market.example/events/item.sold", Key: [8]byte{byte(i)}, Sealed: []byte("sealed"),
			})
		}
		if err := outbox.Add(ctx, tx, hourAgo, list); err != nil {
			return err
		}
		if _, err := outbox.DoneByID(ctx, tx, hourAgo, "s1", []string{"done1"}); err != nil {
			return err
		}
		if _, err := outbox.BuryByID(ctx, tx, hourAgo, "s1", "dead1", "answered 400, invalid_key: no such key"); err != nil {
			return err
		}
		return outbox.Retry(ctx, tx, "s1", list[2].Seq, time.Now().Add(time.Hour), "answered 503")
	}))
}
