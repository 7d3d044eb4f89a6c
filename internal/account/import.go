package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// ImportBatch is how many people one transaction of Import writes at most.
const ImportBatch = 10_000

// Imported is a person as another system knows one.
type Imported struct {
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified,omitempty"`
	PasswordHash  string `json:"password_hash,omitempty"` // as secret.CheckForeign knows it; empty for none
	// PasswordElsewhere says that only the other system can tell whether a password is
	// right: PasswordHook asks it until the person has signed in once.
	PasswordElsewhere bool `json:"password_elsewhere,omitempty"`

	CreatedAt time.Time `json:"created_at,omitzero"` // zero: now
	Disabled  bool      `json:"disabled,omitempty"`
	Profile   Profile   `json:"profile,omitzero"`

	// Identities are what the person signs in with at providers of others.
	Identities []ImportedIdentity `json:"identities,omitempty"`
}

// ImportedIdentity is an Identity as another system has kept it.
type ImportedIdentity struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Email   string `json:"email,omitempty"` // there; for people to know it by
}

// Check says what is wrong with an identity to be imported.
func (i *ImportedIdentity) Check() error {
	switch {
	case !strings.HasPrefix(i.Issuer, "https://") && !strings.HasPrefix(i.Issuer, "http://"), len(i.Issuer) > maxIssuer:
		return fmt.Errorf("account: an identity has the issuer %q; it is the URL under which the provider is known", i.Issuer)
	case i.Subject == "", len(i.Subject) > MaxSubject:
		return errors.New("account: an identity has a subject of 1 to 255 bytes")
	case len(i.Email) > maxIdentifier:
		return fmt.Errorf("account: the address of an identity has more than %d bytes", maxIdentifier)
	}
	return nil
}

// Limits of identities.
const (
	maxIssuer = 2048
	// MaxSubject is how many bytes a sub has at most (OIDC Core §2).
	MaxSubject = 255
)

// Check says what is wrong with a person to be imported, in words for an operator; nil if
// nothing is. Passwords are not judged: nobody knows them here.
func (i *Imported) Check() error {
	if _, ok := normaliseEmail(i.Email); !ok || len(spelling(i.Email)) > maxIdentifier {
		return ErrEmailInvalid
	}
	if i.PasswordHash != "" && i.PasswordElsewhere {
		return errors.New("account: a person with a password_hash has no password_elsewhere")
	}
	if i.PasswordHash != "" {
		if err := secret.CheckForeign(i.PasswordHash); err != nil {
			return err
		}
	}
	if len(i.Identities) > maxIdentities {
		return ErrIdentitiesFull
	}
	for n := range i.Identities {
		if err := i.Identities[n].Check(); err != nil {
			return err
		}
	}
	return i.Profile.Validate()
}

// Import writes people who have passed Check, in one transaction, and tells how many were
// not there before. Those whose address has an account are left as they are, so that an
// import may be run again. ErrIdentityKnown says whose identity is connected with another
// account; then nobody of the batch was written. It tells nobody of them: nobody knows them yet.
func (p *People) Import(ctx context.Context, people []Imported, from Origin) (added int, err error) {
	if len(people) > ImportBatch {
		return 0, fmt.Errorf("account: more than %d people in one batch", ImportBatch)
	}
	err = p.DB.Update(ctx, func(tx *db.Tx) error {
		added = 0
		for start := 0; start < len(people); start += importRows {
			part := people[start:min(start+importRows, len(people))]
			n, err := p.importPart(ctx, tx, part)
			if err != nil {
				return err
			}
			added += n
		}
		if added == 0 {
			return nil
		}
		by := from.By
		if by == "" {
			by = "operator"
		}
		return audit.Append(ctx, tx, audit.Record{
			At: p.Now(), Event: audit.AccountsImported, Outcome: audit.OK, Request: from.Request,
			Detail: map[string]any{"by": by, "added": added, "there_before": len(people) - added},
		})
	})
	if err != nil {
		return 0, fmt.Errorf("account: import: %w", err)
	}
	return added, nil
}

// importRows is how many rows one statement writes: as many as keep a statement small.
const importRows = 250

// importPart writes some people by one statement a table.
func (p *People) importPart(ctx context.Context, tx *db.Tx, part []Imported) (int, error) {
	made := make([]*Account, len(part))
	byID := make(map[string]int, len(part))
	names := newInsert("account_identifier", "kind", "value", "spelling", "account_id", "verified_at", "created_at")
	for i := range part {
		made[i] = p.imported(&part[i])
		byID[made[i].ID] = i
		email, _ := normaliseEmail(part[i].Email)
		var verified any
		if part[i].EmailVerified {
			verified = db.Millis(made[i].CreatedAt)
		}
		names.add(kindEmail, email, made[i].Email, made[i].ID, verified, db.Millis(made[i].CreatedAt))
	}
	rows, err := tx.Rows(ctx, names.text()+" ON CONFLICT (kind, value) DO NOTHING RETURNING account_id", names.args...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	accounts := newInsert("account", "id", "pid", "pid_gen", "state", "profile", "created_at", "updated_at")
	passwords := newInsert("password", "account_id", "phc", "changed_at")
	elsewhere := newInsert("account_identity", "issuer", "subject", "account_id", "email", "created_at", "used_at")
	added := 0
	var gone []Handle // of those who come disabled: their subjects name nobody
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
		i := byID[id]
		profile, err := made[i].Profile.text()
		if err != nil {
			return 0, err
		}
		at := db.Millis(made[i].CreatedAt)
		accounts.add(id, made[i].Ref.Handle[:], made[i].Ref.Gen, string(made[i].State), profile, at, at)
		switch {
		case part[i].PasswordHash != "":
			passwords.add(id, part[i].PasswordHash, at)
		case part[i].PasswordElsewhere:
			passwords.add(id, phcElsewhere, at)
		}
		for _, held := range part[i].Identities {
			elsewhere.add(held.Issuer, held.Subject, id, held.Email, at, at)
		}
		added++
		if part[i].Disabled {
			gone = append(gone, made[i].Ref.Handle)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	if err := rows.Close(); err != nil {
		return 0, err
	}
	for _, in := range []*insert{accounts, passwords} {
		if len(in.args) == 0 {
			continue
		}
		if _, err := tx.Exec(ctx, in.text(), in.args...); err != nil {
			return 0, err
		}
	}
	if err := importIdentities(ctx, tx, elsewhere, part); err != nil {
		return 0, err
	}
	for _, handle := range gone {
		if err := addGone(ctx, tx, handle); err != nil {
			return 0, err
		}
	}
	return added, nil
}

// importIdentities connects identities with the people they came with, a part at a time
// since a person may have several.
func importIdentities(ctx context.Context, tx *db.Tx, all *insert, part []Imported) error {
	width := len(all.columns)
	for len(all.args) > 0 {
		n := min(len(all.args), importRows*width)
		some := &insert{table: all.table, columns: all.columns, args: all.args[:n]}
		all.args = all.args[n:]
		written, err := tx.Exec(ctx, some.text()+" ON CONFLICT (issuer, subject) DO NOTHING", some.args...)
		if err != nil {
			return err
		}
		if int(written) < n/width {
			return fmt.Errorf("%w: of the people from %s to %s", ErrIdentityKnown, part[0].Email, part[len(part)-1].Email)
		}
	}
	return nil
}

func (p *People) imported(i *Imported) *Account {
	a := p.newAccount(NewAccount{Email: i.Email, EmailVerified: i.EmailVerified, Profile: i.Profile})
	if !i.CreatedAt.IsZero() && i.CreatedAt.Before(a.CreatedAt) {
		a.CreatedAt = i.CreatedAt
	}
	if i.Disabled {
		a.State = Disabled
	}
	return a
}

// insert is one statement that writes several rows.
type insert struct {
	table   string
	columns []string
	args    []any
}

func newInsert(table string, columns ...string) *insert {
	return &insert{table: table, columns: columns}
}

func (in *insert) add(values ...any) { in.args = append(in.args, values...) }

func (in *insert) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", in.table, strings.Join(in.columns, ", "))
	for i := range in.args {
		switch {
		case i%len(in.columns) > 0:
			b.WriteString(", ")
		case i > 0:
			b.WriteString("), (")
		default:
			b.WriteByte('(')
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	return b.String()
}
