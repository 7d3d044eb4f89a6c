package main

import (
	"bufio"
	"cmp"
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
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// accountCommand is what an operator can do to accounts. None of it shows a
// password, a handle or a PPID.
type accountCommand struct {
	Add     accountAdd     `cmd:"" help:"Add an account; the password is read from standard input."`
	Show    accountShow    `cmd:"" help:"Show an account: its state, how it signs in, and where it is signed in."`
	SignOut accountSignOut `cmd:"" help:"End all sessions of an account, and what they gave."`
	Recover accountRecover `cmd:"" help:"Write a letter by which the person chooses a new password. The server must send mail."`
	Unlock  accountUnlock  `cmd:"" help:"Remove the authenticator app and its recovery codes of somebody who has lost them."`
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
		methods, sessions, err := c.have(ctx, rooms, found.ID)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "account          %s\ne-mail           %s (verified: %t)\nstate            %s\ncreated          %s\npassword changed %s\n",
			found.ID, found.Email, found.EmailVerified, found.State,
			found.CreatedAt.Format(timeLayout), found.PasswordChangedAt.Format(timeLayout))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "password         %t\nauthenticator    %t (%d recovery codes left)\n", methods.Password, methods.TOTP, methods.RecoveryCodes)
		for _, k := range methods.Passkeys {
			if err == nil {
				_, err = fmt.Fprintf(term.out, "passkey          %q since %s%s\n", k.Name, k.CreatedAt.Format(timeLayout), map[bool]string{true: ", refused: there may be a copy"}[k.Suspect])
			}
		}
		for i := range methods.Identities {
			if held := &methods.Identities[i]; err == nil {
				_, err = fmt.Fprintf(term.out, "identity         at %s since %s, last used %s\n", held.Issuer, held.LinkedAt.Format(timeLayout), held.UsedAt.Format(timeLayout))
			}
		}
		for i := range sessions {
			if s := &sessions[i]; err == nil {
				_, err = fmt.Fprintf(term.out, "session          since %s, last seen %s, %s, from %s, %q\n",
					s.AuthTime.Format(timeLayout), s.SeenAt.Format(timeLayout), s.ACR, cmp.Or(s.Source, "an unknown address"), s.Agent)
			}
		}
		return err
	})
}

// have is how an account signs in, and where it is signed in.
func (f accountFlags) have(ctx context.Context, rooms *app.Rooms, id string) (methods account.Methods, sessions []grant.Session, err error) {
	err = rooms.DB.Read(ctx, func(tx *db.Tx) error {
		if methods, err = rooms.People.Methods(ctx, tx, id); err != nil {
			return err
		}
		sessions, err = rooms.Grants.ListSessions(ctx, tx, id)
		return err
	})
	return methods, sessions, err
}

type accountSignOut struct {
	accountFlags
}

func (c accountSignOut) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		err = rooms.DB.Update(ctx, func(tx *db.Tx) error {
			return rooms.Grants.RevokeAccount(ctx, tx, found.ID, outbox.ByAdmin, "signed out by an operator")
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "its sessions and tokens have ended; the person signs in again")
		return err
	})
}

type accountRecover struct {
	accountFlags
	Language string `default:"en" enum:"en,ja" help:"Language of the letter (${enum})."`
}

func (c accountRecover) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		if err := rooms.SendRecovery(ctx, found.Email, c.Language, operator()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "the letter is in the queue; a server with --mail-server sends it. Its link works for 15 minutes and is shown nowhere")
		return err
	})
}

type accountUnlock struct {
	accountFlags
}

func (c accountUnlock) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		found, err := c.find(ctx, rooms)
		if err != nil {
			return err
		}
		switch err := rooms.People.RemoveTOTP(ctx, found.ID, account.Origin{By: operator()}); {
		case errors.Is(err, account.ErrUnknown):
			return fmt.Errorf("%s has no authenticator app", found.Email)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(term.out, "removed; the password alone signs the person in now. Be sure that it was they who asked")
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
