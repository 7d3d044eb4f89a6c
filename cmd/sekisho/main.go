// Command sekisho is the authorization server of a group of companies, the
// tools to run it, and an example group to see it work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes, as documented in docs/operations.md.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commands is the command line: one field a command, one file each.
type commands struct {
	Serve        serveCommand        `cmd:"" help:"Run the authorization server."`
	Demo         demoCommand         `cmd:"" help:"Start the example group of companies and open its page, or play it by itself (--check)."`
	Check        checkCommand        `cmd:"" help:"Check a group file without touching anything."`
	Plan         planCommand         `cmd:"" help:"Say in words what applying a group file would change."`
	Apply        applyCommand        `cmd:"" help:"Make a group file the group, in one transaction."`
	Schema       schemaCommand       `cmd:"" help:"Print the JSON Schema of the group file, for editors."`
	Keys         keysCommand         `cmd:"" help:"List and rotate signing keys."`
	PPID         ppidCommand         `cmd:"" name:"ppid" help:"Key generations of people's ids: list them, begin the next, re-key a sector after a leak."`
	Account      accountCommand      `cmd:"" help:"Add, show, disable, enable and delete people's accounts."`
	Import       importCommand       `cmd:"" help:"Move in: people of another system, with their password hashes."`
	Restored     restoredCommand     `cmd:"" help:"Say that the database was restored from a backup: codes, sign-ins under way and rotating refresh tokens of before are void."`
	Registration registrationCommand `cmd:"" help:"Let third parties register their clients themselves."`
	Audit        auditCommand        `cmd:"" help:"Show what was decided, by whom and about whom."`
	Events       eventsCommand       `cmd:"" help:"See events on their way to receivers; deliver again, pause and resume streams."`
	Migrate      migrateCommand      `cmd:"" help:"Move an installation to another database: SQLite to PostgreSQL, or back."`
	Healthcheck  healthcheckCommand  `cmd:"" help:"Ask a server on this machine whether it is ready: exit code 0 or 1."`
	Generate     generateCommand     `cmd:"" help:"Make a secret of the right shape."`
	Version      versionCommand      `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{out: os.Stdout, err: os.Stderr, in: os.Stdin})
	stop()
	os.Exit(code)
}

// terminal is where a command reads and writes.
type terminal struct {
	out, err io.Writer
	in       io.Reader
}

// run parses args, runs one command and returns its exit code.
func run(ctx context.Context, args []string, term terminal) (code int) {
	exited := false
	parser, err := kong.New(&commands{},
		kong.Name("sekisho"),
		kong.Description("One OAuth 2.0 and OpenID Connect authorization server for a group of companies."),
		kong.UsageOnError(),
		kong.Writers(term.out, term.err),
		kong.Exit(func(status int) { exited, code = true, status }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(term),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(term.err, "sekisho:", err)
		return exitFailure
	}
	command, err := parser.Parse(args)
	if exited { // --help
		return code
	}
	if err != nil {
		fmt.Fprintln(term.err, "sekisho:", err)
		fmt.Fprintln(term.err, "see: sekisho --help")
		return exitUsage
	}
	if err := command.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(term.err, "sekisho:", err)
		return exitFailure
	}
	return exitOK
}

type versionCommand struct{}

func (versionCommand) Run(term terminal) error {
	_, err := fmt.Fprintln(term.out, "sekisho", version())
	return err
}

// version is the module version this binary was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
