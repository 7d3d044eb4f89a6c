package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// lab is where one row runs: a directory, a database, the servers on it, and
// who publishes and receives.
type lab struct {
	ctx      context.Context
	fail     context.CancelCauseFunc // ends the run
	options  options
	dir      string
	program  string // the built server
	database string
	group    func() string // the group file
	issuer   string
	realms   [2]string // PPID secret and key-encryption key, in hex
	clock    *clock
	chance   *mathrand.Rand
	began    time.Time

	receivers []*receiver
	servers   []*server
	subjects  []string // the people, as the publisher knows them
	cleanups  []func()
	report    report
}

func openLab(ctx context.Context, o options, servers int) (*lab, error) {
	dir, err := os.MkdirTemp("", "faultlab-")
	if err != nil {
		return nil, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	l := &lab{
		ctx: ctx, fail: fail, options: o, dir: dir, program: filepath.Join(dir, "sekisho"), database: o.database, began: time.Now(),
		chance: mathrand.New(mathrand.NewPCG(o.seed, o.seed)), //nolint:gosec // to be repeated by its seed
	}
	if l.database == "" {
		l.database = filepath.Join(dir, "sekisho.db")
	}
	l.group = l.groupFile
	for i := range l.realms {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		l.realms[i] = hex.EncodeToString(key)
	}
	if l.clock, err = newClock(dir, "clock"); err == nil {
		err = l.build()
	}
	if err == nil {
		err = l.address(servers)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// build builds the server as it is shipped, but for its clock.
func (l *lab) build() error {
	args := []string{"build", "-tags", "faultlab", "-o", l.program}
	if l.options.mutant != nil {
		root, err := exec.CommandContext(l.ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			return fmt.Errorf("root of the module: %w", err)
		}
		overlay, err := l.options.mutant.overlay(strings.TrimSpace(string(root)), l.dir)
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(l.ctx, "go", append(args, "github.com/sekisho-id/sekisho/cmd/sekisho")...) //nolint:gosec // our own words
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

func (l *lab) scale() string {
	database := "PostgreSQL"
	if _, file := db.File(l.database); file {
		database = "SQLite"
	}
	if l.options.short {
		return "short, " + database
	}
	return database
}

// since is the time that has really passed in this run.
func (l *lab) since() time.Duration { return time.Since(l.began) }

// pause lets real time pass.
func (l *lab) pause(d time.Duration) error {
	select {
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-time.After(d):
		return nil
	}
}

// until waits for something to become true.
func (l *lab) until(what string, limit time.Duration, is func() (bool, error)) error {
	const often = 100 * time.Millisecond
	for end := time.Now().Add(limit); ; {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %s still not: %s", limit, what)
		}
		if err := l.pause(often); err != nil {
			return err
		}
	}
}

// config is that of the servers, for what is done beside them.
func (l *lab) config() (app.Config, error) {
	config := app.Config{
		Database: l.database, GroupFile: filepath.Join(l.dir, "group.yaml"), Now: l.clock.now, Logger: slog.New(slog.DiscardHandler),
		Passwords: secret.HasherConfig{Memory: 64, Time: 1}, // nobody signs in here
	}
	var err error
	if config.PPIDSecrets, err = app.ParseKeys(l.realms[0]); err != nil {
		return config, err
	}
	config.KeyEncryptionKeys, err = app.ParseKEKs(l.realms[1])
	return config, err
}

// beside does something on the database as an operator does, beside the servers.
func (l *lab) beside(do func(*app.App) error) (err error) {
	config, err := l.config()
	if err != nil {
		return err
	}
	opened, err := app.Open(l.ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close(context.WithoutCancel(l.ctx))) }()
	return do(opened)
}

// settle makes the group and some people.
func (l *lab) settle(people int) error {
	if err := os.WriteFile(filepath.Join(l.dir, "group.yaml"), []byte(l.group()), 0o600); err != nil {
		return err
	}
	return l.beside(func(a *app.App) error {
		market, ok := a.Registry.Current().Subsystem(publisherName)
		if !ok {
			return errors.New("the group has no publisher")
		}
		for i := range people {
			added, err := a.People.SignUp(l.ctx, account.NewAccount{
				Email: load.Email(i), Password: load.Password,
			})
			if err != nil {
				return err
			}
			l.subjects = append(l.subjects, a.Pairwise.Subject(market.Sector, added.Ref))
		}
		return nil
	})
}

// close ends everything that was started.
func (l *lab) close() error {
	l.fail(context.Canceled)
	for _, s := range l.servers {
		s.kill()
	}
	for _, clean := range slices.Backward(l.cleanups) {
		clean()
	}
	var err error
	for _, r := range l.receivers {
		r.close()
		err = errors.Join(err, r.log.close())
	}
	if l.options.keep {
		fmt.Println("  kept:", l.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}
