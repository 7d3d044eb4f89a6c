package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// row is one row of the programme.
type row struct {
	name, title string
	limit       time.Duration // a run that takes longer has failed
	servers     int
	run         func(*lab) error
}

var rows = []row{
	{"F1", "one of three replicas on PostgreSQL is killed, again and again", 60 * time.Minute, 3, replicasDie},
	{"F2", "codes and refresh tokens are sent to three replicas many times at once", 60 * time.Minute, 3, replicasRace},
	{"F3", "the only process, on SQLite, is killed, again and again", 60 * time.Minute, 1, theServerDies},
	{"F5", "PostgreSQL is stopped and killed under load", 60 * time.Minute, 2, theDatabaseRestarts},
	{"F6", "the primary is killed, its synchronous standby takes over", 60 * time.Minute, 2, thePrimaryDies},
	{"F7", "the synchronous standby is cut off from the primary", 60 * time.Minute, 2, theStandbyIsCutOff},
	{"F8", "the old primary is back, and one replica reaches it", 60 * time.Minute, 3, theOldPrimaryReturns},
	{"F9", "signing keys are rotated under load, then one leaks", 60 * time.Minute, 3, keysTurn},
	{"F10", "the disk is full", 60 * time.Minute, 1, theDiskIsFull},
	{"F11", "the database is slow", 60 * time.Minute, 2, theDatabaseIsSlow},
	{"F12", "clocks of replicas differ", 60 * time.Minute, 3, clocksDiffer},
	{"F13", "receivers that are down, hang, refuse, redirect, reset and dawdle beside healthy ones", 40 * time.Minute, 2, receiversMisbehave},
	{"F14", "the process that delivers is killed, another takes over", 60 * time.Minute, 2, dispatcherDies},
	{"F15", "replicas learn from the database alone what others did", 60 * time.Minute, 3, replicasApart},
	{"F18", "five times as much comes as can be answered", 30 * time.Minute, 1, overload},
	{"F19", "an hour of load with 200 subsystems", 90 * time.Minute, 1, soak},
	{"F20", "something is missing or wrong at the start", 20 * time.Minute, 1, startsWrong},
}

// options are the flags.
type options struct {
	short    bool
	keep     bool
	postgres bool
	mutant   *mutant // the server is this one
	seed     uint64
	database string
}

func main() {
	var o options
	flag.BoolVar(&o.short, "short", false, "smaller numbers, for continuous integration")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory with logs and database")
	flag.BoolVar(&o.postgres, "postgres", false, "F10: the full disk is that of a PostgreSQL which is started for it")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "`number` that chance is made of")
	flag.StringVar(&o.database, "database", "", "postgres:// `URL` of an empty database; SQLite in a directory of its own unless given")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: faultlab [flags] list | mutants [ROW...] | ROW...")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := runRows(ctx, o, flag.Args())
	stop()
	os.Exit(code)
}

// runRows runs rows by name and gives the exit status.
func runRows(ctx context.Context, o options, names []string) int {
	if len(names) == 0 {
		flag.Usage()
		return 2
	}
	if names[0] == "list" {
		for _, r := range rows {
			fmt.Printf("%s  %s\n", r.name, r.title)
		}
		return 0
	}
	if names[0] == "mutants" {
		return runMutants(ctx, o, names[1:])
	}
	code := 0
	for _, name := range names {
		r := rowNamed(name)
		if r == nil {
			fmt.Fprintf(os.Stderr, "faultlab: no row %s; see faultlab list\n", name)
			return 2
		}
		if err := runRow(ctx, o, *r); err != nil {
			fmt.Fprintf(os.Stderr, "faultlab: %s: %v\n", name, err)
			code = 1
		}
	}
	return code
}

// rowNamed is nil if there is none.
func rowNamed(name string) *row {
	at := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
	if at < 0 {
		return nil
	}
	return &rows[at]
}

var errViolations = errors.New("what was promised was not kept")

// runRow runs one row in a lab of its own.
func runRow(ctx context.Context, o options, r row) (err error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	l, err := openLab(ctx, o, r.servers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	fmt.Printf("%s: %s\n", r.name, r.title)
	began := time.Now()
	if err := attempt(l, r.run); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	fmt.Printf("  seed %d, %s\n", o.seed, l.scale())
	l.report.print(os.Stdout, time.Since(began))
	if len(l.report.violations) > 0 {
		return errViolations
	}
	return nil
}

// attempt runs a row, and catches what asTest throws.
func attempt(l *lab, run func(*lab) error) (err error) {
	defer func() {
		switch thrown := recover().(type) {
		case nil:
		case labFault:
			err = thrown
		default:
			panic(thrown)
		}
	}()
	return run(l)
}
