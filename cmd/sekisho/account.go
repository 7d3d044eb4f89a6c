package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/db"
)

// accountCommand is what an operator can do to accounts. None of it shows a
// password, a handle or a PPID.
type accountCommand struct {
	Add     accountAdd     `cmd:"" help:"Add an account; the password is read from standard input."`
	Show    accountShow    `cmd:"" help:"Show an account."`
	Disable accountDisable `cmd:"" help:"Disable an account: it can do nothing, its sessions and tokens end."`
	Enable  accountEnable  `cmd:"" help:"Enable a disabled account."`
	Delete  accountDelete  `cmd:"" help:"Delete an account for ever. Its ids name nobody from then on."`
}

type accountFlags struct {
	installation
	Email string `arg:"" help:"E-mail address of the account."`
}

// find looks the account up by its e-mail address.
func (f accountFlags) find(ctx context.Context, rooms *app.Rooms) (found *account.Account, err error) {
	err = rooms.DB.Read(ctx, func(tx *db.Tx) error {
		found, err = rooms.People.ByEmail(ctx, tx, f.Email)
		return err
	})
	if errors.Is(err, account.ErrUnknown) {
		return nil, fmt.Errorf("no account has the e-mail address %s", f.Email)
	}
	return found, err
}

type accountAdd struct {
	accountFlags
	ProfileFile string `placeholder:"FILE" help:"JSON file with standard claims (name, given_name, …)."`
}

func (c accountAdd) Run(ctx context.Context, term terminal) error {
	var profile account.Profile
	if c.ProfileFile != "" {
		data, err := os.ReadFile(c.ProfileFile)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&profile); err != nil {
			return fmt.Errorf("%s: %w", c.ProfileFile, err)
		}
	}
	password, err := bufio.NewReader(io.LimitReader(term.in, 2<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		added, err := rooms.People.SignUp(ctx, account.NewAccount{
			Email: c.Email, Password: strings.TrimRight(password, "\r\n"), Profile: profile,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "added account", added.ID)
		return err
	})
}

type accountShow struct {
	accountFlags
}

func (c accountShow) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "account          %s\ne-mail           %s (verified: %t)\nstate            %s\ncreated          %s\npassword changed %s\n",
			found.ID, found.Email, found.EmailVerified, found.State,
			found.CreatedAt.Format(timeLayout), found.PasswordChangedAt.Format(timeLayout))
		return err
	})
}

const timeLayout = "2006-01-02 15:04:05 MST"

type accountDisable struct {
	accountFlags
}

func (c accountDisable) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		if err := rooms.DisableAccount(ctx, found.ID, operator()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "disabled; its sessions and tokens have ended")
		return err
	})
}

type accountEnable struct {
	accountFlags
}

func (c accountEnable) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		if err := rooms.EnableAccount(ctx, found.ID, operator()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "enabled; the person signs in again")
		return err
	})
}

type accountDelete struct {
	accountFlags
	Yes bool `help:"Do it. Without this the command only says what it would do."`
}

func (c accountDelete) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		if !c.Yes {
			return fmt.Errorf("this deletes account %s for ever, and its ids name nobody from then on; add --yes", found.ID)
		}
		if err := rooms.DeleteAccount(ctx, found.ID, operator()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "deleted")
		return err
	})
}
