package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// asTest lets a run use what is made for tests. What would fail a test ends the
// run, by a panic that runRow catches.
type asTest struct {
	testing.TB // none: only what is below may be called
	lab        *lab
	failed     bool
}

type labFault struct{ error }

func (t *asTest) Helper()                      {}
func (t *asTest) Context() context.Context     { return context.WithoutCancel(t.lab.ctx) }
func (t *asTest) Cleanup(f func())             { t.lab.cleanups = append(t.lab.cleanups, f) }
func (t *asTest) Failed() bool                 { return t.failed }
func (t *asTest) Fatal(args ...any)            { panic(labFault{fmt.Errorf("%s", fmt.Sprint(args...))}) }
func (t *asTest) Fatalf(f string, args ...any) { panic(labFault{fmt.Errorf(f, args...)}) }
func (t *asTest) Skip(args ...any)             { t.Fatal(args...) }
func (t *asTest) Skipf(f string, args ...any)  { t.Fatalf(f, args...) }
func (t *asTest) Error(args ...any)            { t.failed = true; fmt.Println(args...) }
func (t *asTest) Errorf(f string, args ...any) { t.failed = true; fmt.Printf(f+"\n", args...) }
func (t *asTest) Log(args ...any)              { fmt.Println(args...) }
func (t *asTest) Logf(f string, args ...any)   { fmt.Printf(f+"\n", args...) }

// durable is how PostgreSQL runs where nothing that was answered may be lost. Its
// files need no fsync: processes are killed here, not machines.
var durable = []string{"synchronous_commit=on", "log_min_messages=fatal", "max_connections=200"}

// openPostgres starts a server for the run, with an empty database that becomes
// that of the lab.
func (l *lab) openPostgres() (*postgrestest.Server, *asTest) {
	t := &asTest{lab: l}
	primary := postgrestest.New(t, durable...)
	primary.Exec(t, "CREATE DATABASE sekisho")
	l.database = primary.URL("sekisho")
	return primary, t
}
