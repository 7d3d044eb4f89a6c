package courier_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// told are the platform's events that came, by type.
func (e *engine) told(came []got) map[string][]map[string]any {
	told := map[string][]map[string]any{}
	for _, s := range e.readSETs(came) {
		for uri, payload := range s.raw["events"].(map[string]any) {
			told[uri] = append(told[uri], map[string]any{"sub_id": s.raw["sub_id"], "payload": payload})
		}
	}
	return told
}

func issSub(subject string) map[string]any {
	return map[string]any{"format": "iss_sub", "iss": loopbackIssuer, "sub": subject}
}

// E12: what happens to an account is told under the receiver's own name of the
// person, also when the account is gone by then.
func TestWhatHappensToAnAccountIsTold(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	crypto := newReceiver(t)
	e.stream("crypto.backend", crypto)
	person := e.people[0]
	subject := issSub(e.subject("crypto", 0))
	at := func() float64 { return float64(e.clock.Now().Unix()) }
	by := func(who string, more ...string) map[string]any {
		payload := map[string]any{"event_timestamp": at(), "initiating_entity": who}
		for i := 0; i < len(more); i += 2 {
			payload[more[i]] = more[i+1]
		}
		return payload
	}
	want := func(step string, want map[string][]map[string]any) {
		t.Helper()
		e.tick()
		if told := e.told(crypto.take()); !reflect.DeepEqual(told, want) {
			t.Errorf("%s: told\n%v\nwant\n%v", step, told, want)
		}
	}

	// disabled, with the session that it ends
	session := e.signIn(0, "shop.web")
	withSession := map[string]any{
		"format": "complex", "user": subject,
		"session": map[string]any{"format": "opaque", "id": e.Pairwise.SessionID(e.subsystem("crypto").Sector, session.ID)},
	}
	for range 2 {
		e.update(func(tx *db.Tx) error {
			if err := e.People.Disable(e.ctx, tx, person.ID, account.Origin{By: "operator"}); err != nil {
				return err
			}
			return e.Grants.RevokeAccount(e.ctx, tx, person.ID, outbox.ByAdmin, "account disabled")
		})
	}
	revoked := by("admin")
	revoked["reason_admin"] = map[string]any{"en": "account disabled"}
	want("disable", map[string][]map[string]any{
		oauth.EventAccountDisabled: {{"sub_id": subject, "payload": by("admin")}},
		oauth.EventSessionRevoked:  {{"sub_id": withSession, "payload": revoked}},
	})

	e.update(func(tx *db.Tx) error { return e.People.Enable(e.ctx, tx, person.ID, account.Origin{By: "operator"}) })
	want("enable", map[string][]map[string]any{oauth.EventAccountEnabled: {{"sub_id": subject, "payload": by("admin")}}})

	e.must(e.People.ChangePassword(e.ctx, account.PasswordChange{
		AccountID: person.ID, Old: "marble lantern orbit teacup", New: "another battery staple 4711",
	}))
	changed := by("user", "credential_type", "password", "change_type", "update")
	changed["reason_admin"] = map[string]any{"en": "password changed"}
	want("password", map[string][]map[string]any{oauth.EventCredentialChange: {{"sub_id": subject, "payload": changed}}})

	e.update(func(tx *db.Tx) error {
		if err := e.Grants.ForgetAccount(e.ctx, tx, person.ID, outbox.ByAdmin, "account deleted"); err != nil {
			return err
		}
		return e.People.Delete(e.ctx, tx, person.ID, account.Origin{By: "operator"})
	})
	want("delete", map[string][]map[string]any{oauth.EventAccountPurged: {{"sub_id": subject, "payload": by("admin")}}})
	want("nothing", map[string][]map[string]any{})
}

// A third party, and whoever is declared with require_grant, hears only of people
// who hold something there.
func TestOnlyOfOnesOwnPeople(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	crypto, partner := newReceiver(t), newReceiver(t)
	e.stream("crypto.backend", crypto)
	e.stream("partner.web", partner)
	session := e.signIn(0)
	e.consent(session, "partner.web", "openid")
	e.sold(0, "of-aiko")
	e.sold(1, "of-ben")
	seen, _ := e.Registry.Current().Event("https://api.market.test/events/item.seen")
	e.hand([]courier.Publication{{Event: seen, ID: "seen", Subject: e.people[0].Ref, Data: json.RawMessage("{}")}})
	e.tick()
	e.wantItems("partner", partner.take(), "of-aiko")
	came := items(e.readSETs(crypto.take())) // the first party hears of both, but not of what needs a grant
	slices.Sort(came)
	if !slices.Equal(came, []string{"of-aiko", "of-ben"}) {
		t.Errorf("crypto: %v", came)
	}

	// Withdrawn is withdrawn at once.
	e.update(func(tx *db.Tx) error { return e.Grants.Withdraw(e.ctx, tx, e.people[0].ID, "partner.web") })
	e.sold(0, "later")
	e.tick()
	e.wantItems("partner after the consent was withdrawn", partner.take())
}

// Who held something when the account was deleted hears of it; others do not.
func TestDeletionIsToldToThoseWhoKnew(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	partner := newReceiver(t)
	e.stream("partner.web", partner)
	e.consent(e.signIn(0), "partner.web", "openid")
	subject := issSub(e.subject("partner", 0))
	for _, person := range e.people {
		e.update(func(tx *db.Tx) error {
			known, err := e.Grants.ClientsOf(e.ctx, tx, person.ID)
			if err != nil {
				return err
			}
			if err := e.Grants.ForgetAccount(e.ctx, tx, person.ID, outbox.ByAdmin, "account deleted"); err != nil {
				return err
			}
			return e.People.Delete(e.ctx, tx, person.ID, account.Origin{KnownTo: known})
		})
	}
	e.tick()
	told := e.told(partner.take())
	if purged := told[oauth.EventAccountPurged]; len(purged) != 1 || !reflect.DeepEqual(purged[0]["sub_id"], subject) {
		t.Errorf("told %v", told)
	}
}

// Further people in an event are named as the receiver knows them; those it must
// not know of are left out.
func TestPeopleInAnEvent(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	crypto, partner := newReceiver(t), newReceiver(t)
	e.stream("crypto.backend", crypto)
	e.stream("partner.web", partner)
	e.consent(e.signIn(0), "partner.web", "openid")
	event, _ := e.Registry.Current().Event(itemSold)
	people := map[string]account.Ref{"seller": e.people[0].Ref, "buyer": e.people[1].Ref}
	e.hand([]courier.Publication{
		{Event: event, ID: "1", Subject: e.people[0].Ref, People: people, Data: json.RawMessage(`{"price":3}`)},
		{Event: event, ID: "2", Subject: e.people[0].Ref, People: people, Data: json.RawMessage(`{}`)},
	})
	e.tick()
	for name, r := range map[string]*receiver{"crypto": crypto, "partner": partner} {
		want := map[string]any{"seller": e.subject(name, 0)}
		if name == "crypto" {
			want["buyer"] = e.subject(name, 1)
		}
		sets := e.readSETs(r.take())
		if len(sets) != 2 {
			t.Fatalf("%s: %d came", name, len(sets))
		}
		for i, payload := range []map[string]any{{"price": 3.0, "people": want}, {"people": want}} {
			if got := sets[i].raw["events"].(map[string]any)[itemSold]; !reflect.DeepEqual(got, payload) {
				t.Errorf("%s: %v, want %v", name, got, payload)
			}
			if _, ok := sets[i].raw["toe"]; ok {
				t.Errorf("%s: a time that nobody told", name)
			}
		}
	}
}

// A service finds the person as its callers know them, so that it can refuse their
// tokens; of third parties only if the person holds something there.
func TestCallersOfAService(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	e.stream("pay.backend", pay)
	callers := func(person int, subsystems ...string) {
		t.Helper()
		session := e.signIn(person)
		if len(subsystems) > 1 {
			e.consent(session, "partner.web", "openid")
		}
		e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, session.ID) })
		e.tick()
		var want []any
		for _, name := range subsystems {
			want = append(want, map[string]any{
				"subsystem": name, "sub": e.subject(name, person), "sid": e.Pairwise.SessionID(e.subsystem(name).Sector, session.ID),
			})
		}
		told := e.told(pay.take())[oauth.EventSessionRevoked]
		if len(told) != 1 || !reflect.DeepEqual(told[0]["payload"].(map[string]any)["callers"], any(want)) {
			t.Errorf("told %v, want %v", told, want)
		}
	}
	callers(0, "shop")
	callers(1, "partner", "shop")
}

// Changed claims are told as far as the receiver may know them.
func TestChangedClaims(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay, crypto, partner := newReceiver(t), newReceiver(t), newReceiver(t)
	e.stream("pay.backend", pay)
	e.stream("crypto.backend", crypto)
	e.stream("partner.web", partner)
	e.consent(e.signIn(0), "partner.web", "openid", "phone")
	profile := account.Profile{Nickname: "Ai", PhoneNumber: "+81 3 1234 5678"}
	change := func(profile account.Profile) {
		e.update(func(tx *db.Tx) error {
			return e.People.ChangeProfile(e.ctx, tx, e.people[0].ID, profile, account.Origin{})
		})
		e.tick()
	}
	want := func(name string, r *receiver, want map[string]any) {
		t.Helper()
		told := e.told(r.take())[oauth.EventTokenClaimsChange]
		if want == nil {
			if len(told) != 0 {
				t.Errorf("%s: told %v", name, told)
			}
			return
		}
		if len(told) != 1 || !reflect.DeepEqual(told[0]["payload"].(map[string]any)["claims"], any(want)) {
			t.Errorf("%s: told %v, want %v", name, told, want)
		}
	}
	change(profile)
	want("pay", pay, map[string]any{"nickname": "Ai"}) // its identity scopes: profile
	want("crypto", crypto, nil)                        // none
	want("partner", partner, map[string]any{           // profile and phone, of which the person allowed phone
		"phone_number": "+81 3 1234 5678", "phone_number_verified": false,
	})
	profile.Nickname = ""
	change(profile)
	want("pay", pay, map[string]any{"nickname": nil})
	want("partner", partner, nil)
}

func TestWhatAStreamDoesNotAskForIsNotSent(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay, crypto := newReceiver(t), newReceiver(t)
	e.stream("pay.backend", pay, func(s *courier.Stream) { s.Requested = []string{itemSold} })
	s := e.stream("crypto.backend", crypto)
	e.update(func(tx *db.Tx) error { return courier.RemovePerson(e.ctx, tx, s.ID, e.people[0].Ref.Handle) })
	session := e.signIn(0)
	e.sold(0, "of-aiko")
	e.sold(1, "of-ben")
	e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, session.ID) })
	e.tick()
	came := items(e.readSETs(pay.take()))
	slices.Sort(came)
	if !slices.Equal(came, []string{"of-aiko", "of-ben"}) {
		t.Errorf("pay: %v", came)
	}
	e.wantItems("crypto, which has taken a person off", crypto.take(), "of-ben")
}

// Several processes take the same happenings: each is told once.
func TestEachHappeningIsToldOnce(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	crypto := newReceiver(t)
	e.stream("crypto.backend", crypto)
	processes := []*courier.Courier{e.Courier, e.process("", false), e.process("", false)}
	const sessions = 150
	e.update(func(tx *db.Tx) error {
		for range sessions {
			err := outbox.Append(e.ctx, tx, outbox.Happening{
				Type: oauth.EventCredentialChange, Handle: e.people[0].Ref.Handle, Gen: 1, At: e.clock.Now(),
				Payload: outbox.About(outbox.ByUser, "", nil),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	var running sync.WaitGroup
	for _, process := range processes {
		running.Go(func() { process.Tick(e.ctx) })
	}
	running.Wait()
	e.clock.Advance(4 * time.Second)
	for _, process := range processes {
		process.Tick(e.ctx)
	}
	seen := map[string]bool{}
	for _, s := range e.readSETs(crypto.take()) {
		seen[s.ID] = true
	}
	if len(seen) != sessions {
		t.Errorf("%d different events came, want %d", len(seen), sessions)
	}
	e.wantStanding("stream-crypto.backend", 0, 0)
}

// Nothing in the database tells which identifier a person has at a receiver, and
// nothing of a deleted person is left that leads to them.
func TestNoSubjectIsReadableInTheDatabase(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	e := openEngine(t)
	crypto := newReceiver(t)
	crypto.answers(500)
	e.stream("crypto.backend", crypto)
	event, _ := e.Registry.Current().Event(itemSold)
	e.hand([]courier.Publication{{
		Event: event, ID: "1", Subject: e.people[0].Ref, People: map[string]account.Ref{"buyer": e.people[1].Ref}, Data: json.RawMessage(`{"item":"unmistakable teapot"}`),
	}})
	session := e.signIn(0, "shop.web")
	e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, session.ID) })
	e.tick()
	e.update(func(tx *db.Tx) error { // the pages of the journal go into the file
		_, err := tx.Exec(e.ctx, "DELETE FROM delivery_lease")
		return err
	})
	files, err := filepath.Glob(strings.TrimPrefix(e.dsn, "sqlite:") + "*")
	e.must(err)
	var all []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		e.must(err)
		all = append(all, content...)
	}
	if !bytes.Contains(all, []byte("stream-crypto.backend")) {
		t.Fatal("the deliveries are not in these files")
	}
	secrets := []string{"unmistakable teapot", e.Pairwise.SessionID(e.subsystem("crypto").Sector, session.ID)}
	for _, name := range []string{"crypto", "shop", "market"} {
		secrets = append(secrets, e.subject(name, 0), e.subject(name, 1))
	}
	for _, text := range secrets {
		if bytes.Contains(all, []byte(text)) {
			t.Errorf("%s stands in the database", text)
		}
	}
}

// Where messages may go depends on whose they are.
func TestPolicies(t *testing.T) {
	t.Parallel()
	production, development := openEngineAt(t, "https://id.test"), openEngine(t)
	for _, test := range []struct {
		e        *engine
		receiver string
		url      string
		ok       bool
	}{
		{production, "crypto", "https://events.example.com/x", true},
		{production, "crypto", "https://10.1.2.3/x", true},
		{production, "crypto", "https://10.2.2.3/x", false},
		{production, "crypto", "https://127.0.0.1/x", false},
		{production, "crypto", "http://127.0.0.1/x", false},
		{production, "partner", "https://events.example.com/x", true},
		{production, "partner", "https://10.1.2.3/x", false},
		{production, "nobody", "https://10.1.2.3/x", false},
		{development, "partner", "http://127.0.0.1:3000/x", true},
		{development, "partner", "https://127.0.0.1:3000/x", true},
		{development, "partner", "https://10.1.2.3/x", false},
		{development, "crypto", "http://10.1.2.3/x", false},
	} {
		if err := test.e.PolicyOf(test.receiver).CheckURL(test.url); (err == nil) != test.ok {
			t.Errorf("%s to %s: %v", test.receiver, test.url, err)
		}
	}
}
