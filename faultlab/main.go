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
	run         func(*lab) error
}

var rows = []row{
	{"F13", "receivers that are down, hang, refuse, redirect, reset and dawdle beside healthy ones", 40 * time.Minute, receiversMisbehave},
	{"F14", "the process that delivers is killed, another takes over", 60 * time.Minute, dispatcherDies},
}

// options are the flags.
type options struct {
	short    bool
	keep     bool
	seed     uint64
	database string
}

func main() {
	var o options
	flag.BoolVar(&o.short, "short", false, "smaller numbers, for continuous integration")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory with logs and database")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "`number` that chance is made of")
	flag.StringVar(&o.database, "database", "", "postgres:// `URL` of an empty database; SQLite in a directory of its own unless given")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: faultlab [flags] list | ROW...")
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
	code := 0
	for _, name := range names {
		at := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
		if at < 0 {
			fmt.Fprintf(os.Stderr, "faultlab: no row %s; see faultlab list\n", name)
			return 2
		}
		if err := runRow(ctx, o, rows[at]); err != nil {
			fmt.Fprintf(os.Stderr, "faultlab: %s: %v\n", name, err)
			code = 1
		}
	}
	return code
}

var errViolations = errors.New("what was promised was not kept")

// runRow runs one row in a lab of its own.
func runRow(ctx context.Context, o options, r row) (err error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	l, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	fmt.Printf("%s: %s\n  seed %d, %s\n", r.name, r.title, o.seed, l.scale())
	began := time.Now()
	if err := r.run(l); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	l.report.print(os.Stdout, time.Since(began))
	if len(l.report.violations) > 0 {
		return errViolations
	}
	return nil
}
