package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Of authenticator apps (RFC 6238), as all of them have it.
const (
	totpStep   = 30 // seconds
	totpDrift  = 1  // steps that a clock may be off
	totpSecret = 20 // bytes
	setupLife  = 30 * time.Minute
)

// Of recovery codes: 60 bits each.
const (
	recoveryCodes  = 10
	recoveryLength = 12
)

// ErrCode is the answer to every code that does not prove who a person is.
var ErrCode = errors.New("account: the code was not accepted")

// TOTPSetup is what a person's authenticator app is given. Nothing is kept of it before
// ConfirmTOTP.
type TOTPSetup struct {
	Secret string // for typing: base32 in groups of four
	URI    string // for scanning: otpauth://totp/…
	Sealed string // for ConfirmTOTP
}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTP makes a secret for an authenticator app of the person.
func (p *People) NewTOTP(who *Account) (TOTPSetup, error) {
	made := secret.Bytes(totpSecret)
	box, err := p.codeBox()
	if err != nil {
		return TOTPSetup{}, err
	}
	plain := binary.BigEndian.AppendUint64(made, uint64(p.Now().Unix())) //nolint:gosec // a time after 1970
	text := base32Text.EncodeToString(made)
	issuer := strings.ReplaceAll(p.siteName(), ":", " ")
	query := url.Values{"secret": {text}, "issuer": {issuer}, "period": {fmt.Sprint(totpStep)}, "digits": {"6"}, "algorithm": {"SHA1"}}
	return TOTPSetup{
		Secret: groupsOfFour(text),
		URI:    "otpauth://totp/" + url.PathEscape(issuer+":"+who.Email) + "?" + strings.ReplaceAll(query.Encode(), "+", "%20"),
		Sealed: base64.RawURLEncoding.EncodeToString(box.Seal(plain, []byte("totp setup "+who.ID))),
	}, nil
}

// ConfirmTOTP keeps the secret of an app that has shown a right code; it takes the
// place of one there was. ErrCode says that the code is wrong, or the setup too old.
func (p *People) ConfirmTOTP(ctx context.Context, accountID, sealed, code string, from Origin) error {
	box, err := p.codeBox()
	if err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return ErrCode
	}
	plain, err := box.Open(raw, []byte("totp setup "+accountID))
	if err != nil || len(plain) != totpSecret+8 {
		return ErrCode
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(plain[totpSecret:])), 0) //nolint:gosec // written above
	if p.Now().Sub(made) > setupLife {
		return ErrCode
	}
	step, ok := p.stepOf(plain[:totpSecret], plainCode(code))
	if !ok {
		return ErrCode
	}
	kept := box.Seal(plain[:totpSecret], []byte("totp "+accountID))
	return p.changeMethods(ctx, accountID, from, "create", func(tx *db.Tx, _ *Account) (string, error) {
		return credentialApp, putTOTP(ctx, tx, accountID, kept, step, p.now())
	})
}

// RemoveTOTP forgets the authenticator app of a person, and the recovery codes with it.
func (p *People) RemoveTOTP(ctx context.Context, accountID string, from Origin) error {
	return p.changeMethods(ctx, accountID, from, "delete", func(tx *db.Tx, _ *Account) (string, error) {
		found, err := deleteTOTP(ctx, tx, accountID)
		if err == nil && !found {
			err = ErrUnknown
		}
		return credentialApp, err
	})
}

// CodeAttempt is a person who has proved to know the password and gives a one-time code.
type CodeAttempt struct {
	AccountID string
	Code      string // of the app, or a recovery code; spaces and hyphens do not count
	Origin
}

// CheckCode takes a one-time code: of the authenticator app, each at most once, or one of
// the recovery codes. All that is wrong gives ErrCode; attempts are counted like those
// with passwords, before they are evaluated, and a *ThrottledError says that one was not.
func (p *People) CheckCode(ctx context.Context, a CodeAttempt) error {
	code := plainCode(a.Code)
	var refused *ThrottledError
	var taken bool
	err := p.DB.Update(ctx, func(tx *db.Tx) error {
		taken, refused = false, nil
		who, err := p.ByID(ctx, tx, a.AccountID)
		if err != nil {
			return err
		}
		attempts := counter{countCode, a.AccountID}
		if refused, err = attempts.take(ctx, tx, p.Now()); err != nil {
			return err
		}
		if refused != nil {
			return p.record(ctx, tx, audit.SignInThrottled, a.Origin, who, "too many wrong codes")
		}
		method := ""
		if who.Active() {
			if method, err = p.takeCode(ctx, tx, who.ID, code); err != nil {
				return err
			}
		}
		if method == "" {
			return p.record(ctx, tx, audit.SignInFailed, a.Origin, who, "wrong one-time code")
		}
		taken = true
		if err := attempts.clear(ctx, tx); err != nil {
			return err
		}
		return p.recordMethod(ctx, tx, audit.SecondFactor, who, a.Origin, map[string]any{"method": method})
	})
	switch {
	case errors.Is(err, ErrUnknown):
		return ErrCode
	case err != nil:
		return fmt.Errorf("account: check a one-time code: %w", err)
	case refused != nil:
		return refused
	case !taken:
		return ErrCode
	}
	return nil
}

// takeCode takes a code, once; method is empty if it is none of the person's.
func (p *People) takeCode(ctx context.Context, tx *db.Tx, accountID, code string) (method string, err error) {
	if len(code) == recoveryLength {
		taken, err := takeRecoveryCode(ctx, tx, accountID, p.recoveryHash(accountID, code), p.now())
		if err != nil || !taken {
			return "", err
		}
		return "recovery code", nil
	}
	sealed, last, found, err := loadTOTP(ctx, tx, accountID)
	if err != nil || !found {
		return "", err
	}
	box, err := p.codeBox()
	if err != nil {
		return "", err
	}
	key, err := box.Open(sealed, []byte("totp "+accountID))
	if err != nil {
		return "", fmt.Errorf("the secret of the authenticator app: %w", err)
	}
	step, ok := p.stepOf(key, code)
	if !ok || step <= last {
		return "", nil
	}
	moved, err := moveTOTP(ctx, tx, accountID, step)
	if err != nil || !moved {
		return "", err
	}
	return "totp", nil
}

// stepOf finds the time step that a code is of, the present one first.
func (p *People) stepOf(key []byte, code string) (step int64, ok bool) {
	now := p.Now().Unix() / totpStep
	for _, drift := range []int64{0, -totpDrift, totpDrift} {
		want, err := hotp.GenerateCodeCustom(base32Text.EncodeToString(key), uint64(now+drift), //nolint:gosec // a time after 1970
			hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && secret.Equal([]byte(want), []byte(code)) {
			return now + drift, true
		}
	}
	return 0, false
}

// NewRecoveryCodes gives a person codes that each prove who they are once, where the app
// is out of reach. Those from before are worth nothing from then on.
func (p *People) NewRecoveryCodes(ctx context.Context, accountID string, from Origin) ([]string, error) {
	codes := make([]string, recoveryCodes)
	hashes := make([][]byte, recoveryCodes)
	for i := range codes {
		code := recoveryText(secret.Bytes(recoveryLength))
		codes[i], hashes[i] = groupsOfFour(code), p.recoveryHash(accountID, code)
	}
	err := p.changeMethods(ctx, accountID, from, "update", func(tx *db.Tx, _ *Account) (string, error) {
		return credentialCodes, putRecoveryCodes(ctx, tx, accountID, hashes)
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// recoveryAlphabet has no characters that look like others.
const recoveryAlphabet = "abcdefghjkmnpqrstuvwxyz023456789"

// recoveryText writes random bytes with the alphabet, which has 32 characters.
func recoveryText(random []byte) string {
	text := make([]byte, len(random))
	for i, b := range random {
		text[i] = recoveryAlphabet[int(b)%len(recoveryAlphabet)]
	}
	return string(text)
}

// recoveryHash is what is kept of a recovery code: short as it is, it must not be found
// from the database alone.
func (p *People) recoveryHash(accountID, code string) []byte {
	mac := hmac.New(sha256.New, secret.Derive(p.FactorKey, "recovery code", secret.KeySize))
	mac.Write([]byte(accountID + "\x00" + code))
	return mac.Sum(nil)
}

func (p *People) codeBox() (*secret.Box, error) {
	return secret.NewBox(secret.Derive(p.FactorKey, "totp", secret.KeySize))
}

// plainCode drops what people write into a code to read it.
func plainCode(code string) string {
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' || c == '\u3000' {
			return -1
		}
		if c >= '０' && c <= '９' { // as a Japanese keyboard may write them
			return c - '０' + '0'
		}
		return c
	}, strings.ToLower(code))
}

func groupsOfFour(text string) string {
	var groups []string
	for len(text) > 4 {
		groups, text = append(groups, text[:4]), text[4:]
	}
	return strings.Join(append(groups, text), "-")
}
