package account

import (
	"errors"
	"fmt"
	"time"
)

// Handle is the random name of a person that pairwise subjects are made of. It
// is never shown, logged or exported.
type Handle [12]byte

// String keeps handles out of logs and messages.
func (h Handle) String() string { return "person" }

// Ref is what pairwise needs to name a person. The zero Ref is nobody.
type Ref struct {
	Handle Handle
	Gen    int // key generation when the account was made
}

// Nobody reports whether the Ref names no person.
func (r Ref) Nobody() bool { return r == Ref{} }

// String is that of its handle.
func (r Ref) String() string { return r.Handle.String() }

// State says whether a person may do anything.
type State string

// The states of an account.
const (
	Active   State = "active"
	Disabled State = "disabled"
)

// Account is a person as the platform knows one.
type Account struct {
	ID                string // internal: it leaves the platform nowhere
	Ref               Ref
	State             State
	Email             string // as the person writes it
	EmailVerified     bool
	Profile           Profile
	CreatedAt         time.Time
	UpdatedAt         time.Time
	PasswordChangedAt time.Time
}

// Active reports whether the person may do anything.
func (a *Account) Active() bool { return a.State == Active }

var (
	// ErrUnknown says that there is no such account, or not any more.
	ErrUnknown = errors.New("account: no such account")
	// ErrCredentials is the answer to every attempt that does not prove who the
	// person is: unknown, disabled, no password set, wrong password.
	ErrCredentials = errors.New("account: the e-mail address and the password do not belong together")
	// ErrEmailTaken says that another account has this e-mail address.
	ErrEmailTaken = errors.New("account: the e-mail address has an account already")
	// ErrEmailInvalid says that a text is no e-mail address we could use.
	ErrEmailInvalid = errors.New("account: this is not an e-mail address")
	// ErrTooLarge says that a password is longer than any is looked at. It is
	// found out before anything is hashed.
	ErrTooLarge = errors.New("account: the password is longer than 1,024 bytes")
)

// ThrottledError says that an attempt was not evaluated, because too many
// before it failed.
type ThrottledError struct {
	RetryAfter time.Duration
	// KnownDeviceOnly says that waiting does not help before RetryAfter, but that
	// a device the person has signed in on before still can.
	KnownDeviceOnly bool
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("account: too many attempts, try again in %d seconds", e.Seconds())
}

// Seconds is the wait in whole seconds, at least one, as Retry-After has it.
func (e *ThrottledError) Seconds() int {
	return max(1, int((e.RetryAfter+time.Second-1)/time.Second))
}
