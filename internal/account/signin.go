package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Attempt is somebody who says to be a person and gives a password.
type Attempt struct {
	Login    string // e-mail address, in any spelling
	Password string
	Device   string // known-device token, if the browser has one
	Origin
}

// candidate is who an attempt is about, as it was when the attempt was let in.
type candidate struct {
	account *Account // nil if nobody has the name
	phc     string   // empty if nobody has the name, or no password is set
	taken   []counter
}

// CheckPassword says who an attempt is by, if the password proves it. All that
// is wrong gives ErrCredentials, after the same work: whether an account exists
// shows neither in the answer nor in its time. An attempt that is not evaluated
// gives a *ThrottledError; ErrTooLarge, ErrElsewhere and secret.ErrBusy are the other answers.
func (p *People) CheckPassword(ctx context.Context, a Attempt) (*Account, error) {
	password, err := preparePassword(a.Password)
	if err != nil {
		return nil, err
	}
	login, _ := normaliseEmail(a.Login)
	find := func(tx *db.Tx) (*Account, error) { return p.ByEmail(ctx, tx, a.Login) }
	who, err := p.admit(ctx, a, p.nameCounter(login), find)
	if err != nil {
		return nil, err
	}
	rehashed, err := p.evaluate(ctx, who, password)
	if err != nil && !errors.Is(err, ErrCredentials) {
		return nil, err
	}
	account, failure := p.settle(ctx, a, who, rehashed, err)
	if err == nil && failure != nil && !errors.Is(failure, ErrCredentials) {
		// The password was right and that could not be written down.
		failure = errors.Join(failure, p.giveBack(context.WithoutCancel(ctx), who.taken))
	}
	return account, failure
}

// admit finds out who is meant and counts the attempt against all that limits
// it, in one transaction. From then on it is a failure until settled otherwise.
func (p *People) admit(ctx context.Context, a Attempt, unknown counter, find func(*db.Tx) (*Account, error)) (*candidate, error) {
	var who *candidate
	var refused *ThrottledError
	err := p.DB.Update(ctx, func(tx *db.Tx) (err error) {
		who, refused = &candidate{}, nil
		who.account, err = find(tx)
		switch {
		case errors.Is(err, ErrUnknown):
		case err != nil:
			return err
		default:
			if who.phc, err = storedPassword(ctx, tx, who.account.ID); err != nil {
				return err
			}
		}
		refused, err = p.takeCounters(ctx, tx, a, who, unknown)
		if err != nil || refused == nil {
			return err
		}
		return p.record(ctx, tx, audit.SignInThrottled, a.Origin, who.account, "too many failed attempts")
	})
	if err != nil {
		return nil, fmt.Errorf("account: admit an attempt: %w", err)
	}
	if refused != nil {
		return nil, refused
	}
	return who, nil
}

// takeCounters decides whether an attempt may be evaluated. A known device has a
// counter to itself, so that attempts by others keep nobody from signing in;
// everybody else shares the counters of the person and of the network.
func (p *People) takeCounters(ctx context.Context, tx *db.Tx, a Attempt, who *candidate, unknown counter) (*ThrottledError, error) {
	now := p.Now()
	person := unknown
	if who.account != nil {
		person = accountCounter(who.account.ID)
		if device, ok := p.knownDevice(who.account.ID, a.Device); ok {
			exhausted, err := device.exhausted(ctx, tx, now)
			if err != nil {
				return nil, err
			}
			if !exhausted {
				who.taken = []counter{device}
				return device.take(ctx, tx, now)
			}
		}
	}
	source := sourceCounter(a.Source)
	refused, err := source.takeSource(ctx, tx, now)
	if err != nil || refused != nil {
		return refused, err
	}
	refused, err = person.take(ctx, tx, now)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		// Not evaluated, so it is no failure of the network.
		return refused, source.giveBack(ctx, tx)
	}
	who.taken = []counter{source, person}
	return nil, nil
}

// evaluate does the same work whoever is meant. It gives the password under
// today's cost if it was stored under another.
func (p *People) evaluate(ctx context.Context, who *candidate, password string) (rehashed string, err error) {
	ok, rehash, err := p.verify(ctx, who, password)
	if errors.Is(err, secret.ErrBusy) || errors.Is(err, ErrElsewhere) {
		return "", errors.Join(err, p.giveBack(ctx, who.taken))
	}
	if err != nil {
		return "", err
	}
	if !ok || who.account == nil || !who.account.Active() {
		return "", ErrCredentials
	}
	if rehash {
		// If there is no time for it now, the next sign-in does it.
		rehashed, _ = p.Hasher.Hash(ctx, password)
	}
	return rehashed, nil
}

// giveBack undoes the count of an attempt that was not evaluated.
func (p *People) giveBack(ctx context.Context, taken []counter) error {
	return p.DB.Update(ctx, func(tx *db.Tx) error {
		for _, c := range taken {
			if err := c.giveBack(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// settle writes down what became of an evaluated attempt. A success ends the row
// of failures of the person; of the network it takes off this one attempt only,
// or who has an account could try others for ever.
func (p *People) settle(ctx context.Context, a Attempt, who *candidate, rehashed string, outcome error) (*Account, error) {
	var account *Account
	var failed error
	err := p.DB.Update(ctx, func(tx *db.Tx) (err error) {
		account, failed = nil, outcome
		if failed == nil {
			account, failed, err = p.stillTrue(ctx, tx, who)
			if err != nil {
				return err
			}
		}
		if failed != nil {
			return p.record(ctx, tx, audit.SignInFailed, a.Origin, who.account, failureReason(who))
		}
		if err := p.clearCounters(ctx, tx, who); err != nil {
			return err
		}
		if rehashed != "" {
			if err := replaceHash(ctx, tx, account.ID, who.phc, rehashed); err != nil {
				return err
			}
		}
		return p.record(ctx, tx, audit.SignInSucceeded, a.Origin, account, "")
	})
	if err != nil {
		return nil, fmt.Errorf("account: settle an attempt: %w", err)
	}
	return account, failed
}

// stillTrue reads the person again: hashing takes a while, in which an account
// may be disabled or get another password.
func (p *People) stillTrue(ctx context.Context, tx *db.Tx, who *candidate) (account *Account, failed, err error) {
	account, err = p.ByID(ctx, tx, who.account.ID)
	if errors.Is(err, ErrUnknown) {
		return nil, ErrCredentials, nil
	}
	if err != nil {
		return nil, nil, err
	}
	phc, err := storedPassword(ctx, tx, account.ID)
	if err != nil {
		return nil, nil, err
	}
	if !account.Active() || phc != who.phc {
		return nil, ErrCredentials, nil
	}
	return account, nil, nil
}

func (p *People) clearCounters(ctx context.Context, tx *db.Tx, who *candidate) error {
	for _, c := range who.taken {
		forget := c.clear
		if c.kind == countSource {
			forget = c.giveBack
		}
		if err := forget(ctx, tx); err != nil {
			return err
		}
	}
	return accountCounter(who.account.ID).clear(ctx, tx)
}

// failureReason is what the audit log tells, and nobody else learns.
func failureReason(who *candidate) string {
	switch {
	case who.account == nil:
		return "no account has this name"
	case !who.account.Active():
		return "the account is disabled"
	case who.phc == "":
		return "the account has no password"
	}
	return "wrong password"
}

// record appends to the audit log what was decided about a person.
func (p *People) record(ctx context.Context, tx *db.Tx, event audit.Event, from Origin, who *Account, refused string) error {
	r := audit.Record{
		At: p.Now(), Event: event, Outcome: audit.OK,
		Client: from.Client, Request: from.Request, Reason: refused,
	}
	if refused != "" {
		r.Outcome = audit.Refused
	}
	if who != nil {
		r.Account = who.ID
	}
	if from.Source.IsValid() {
		r.Source = from.Source.String()
	}
	if from.By != "" {
		r.Detail = map[string]any{"by": from.By}
	}
	return audit.Append(ctx, tx, r)
}

// now is the time of a change, as tables hold it.
func (p *People) now() time.Time { return db.Time(db.Millis(p.Now())) }
