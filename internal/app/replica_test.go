package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
)

// Two processes on one database: what may happen once happens once, whichever
// of them is asked.

// replicas are two servers on one database with one clock.
func replicas(t *testing.T) [2]*world {
	t.Helper()
	first := setup(t)
	return [2]*world{first, start(t, first.path, first.clock)}
}

// codes are authorizations that the person has given to a client.
func (w *world) codes(n int, clientID, redirectURI string) []string {
	w.t.Helper()
	codes := make([]string, n)
	err := w.app.DB.Update(w.t.Context(), func(tx *db.Tx) error {
		session, _, err := w.app.Grants.StartSession(w.t.Context(), tx, w.person.ID, grant.SignIn{AuthTime: w.clock.Now(), ACR: "aal1", AMR: []string{"pwd"}})
		if err != nil {
			return err
		}
		for i := range codes {
			codes[i], err = w.app.Grants.Authorize(w.t.Context(), tx, grant.Authorization{
				Session: session, ClientID: clientID, Scopes: grant.Scopes{issuer: {"openid"}}, RedirectURI: redirectURI, Challenge: challenge,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return codes
}

// atOnce runs n requests side by side, spread over both, and sorts the answers
// by status. On a slow machine one may wait for the database too long and be
// told to come again, with nothing done; it comes again.
func atOnce(both [2]*world, n int, request func(w *world, i int) answer) map[int][]answer {
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			for again := true; again; again = answers[i].status == http.StatusServiceUnavailable {
				answers[i] = request(both[i%2], i)
			}
		})
	}
	all.Wait()
	byStatus := map[int][]answer{}
	for _, a := range answers {
		byStatus[a.status] = append(byStatus[a.status], a)
	}
	return byStatus
}

func redemption(code string) []string {
	return []string{"grant_type", "authorization_code", "client_id", "market-app.spa", "code", code, "redirect_uri", "https://market.test/callback", "code_verifier", verifier}
}

// TestOneCodeTwoProcesses is check C7.
func TestOneCodeTwoProcesses(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	code := both[0].codes(1, "market-app.spa", "https://market.test/callback")[0]
	got := atOnce(both, 50, func(w *world, _ int) answer { return w.public(redemption(code)...) })
	if len(got[http.StatusOK]) != 1 || len(got[http.StatusBadRequest]) != 49 {
		t.Errorf("%d times OK, %d times refused, of 50", len(got[http.StatusOK]), len(got[http.StatusBadRequest]))
	}
}

// TestThousandCodesTwoProcesses is the other half of C7: nobody loses a code to
// a neighbour.
func TestThousandCodesTwoProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	both := replicas(t)
	codes := both[0].codes(1000, "suite.basic", suiteCallback)
	var good atomic.Int32
	for some := range slices.Chunk(codes, 20) {
		got := atOnce(both, len(some), func(w *world, i int) answer {
			return w.suite("").post("/oauth2/token", "grant_type", "authorization_code", "code", some[i], "redirect_uri", suiteCallback, "code_verifier", verifier)
		})
		good.Add(int32(len(got[http.StatusOK])))
	}
	if good.Load() != 1000 {
		t.Errorf("%d of 1000 codes were good", good.Load())
	}
}

// TestOneRefreshTokenTwoProcesses is check T7: of a hundred uses three are
// answered, with one successor, and then the family is dead; three uses leave
// it alive.
func TestOneRefreshTokenTwoProcesses(t *testing.T) {
	t.Parallel()
	for uses, survives := range map[int]bool{3: true, 100: false} {
		t.Run(fmt.Sprint(uses, " uses"), func(t *testing.T) {
			t.Parallel()
			both := replicas(t)
			code := both[0].codes(1, "market-app.spa", "https://market.test/callback")[0]
			first := decode[tokens](t, both[0].public(redemption(code)...).body)
			refresh := []string{"grant_type", "refresh_token", "client_id", "market-app.spa", "refresh_token", first.RefreshToken}
			got := atOnce(both, uses, func(w *world, _ int) answer { return w.public(refresh...) })
			successors := map[string]bool{}
			for _, a := range got[http.StatusOK] {
				successors[decode[tokens](t, a.body).RefreshToken] = true
			}
			if len(got[http.StatusOK]) != 3 || len(successors) != 1 || len(got[http.StatusOK])+len(got[http.StatusBadRequest]) != uses {
				t.Fatalf("%d answers with %d successors, %d refused", len(got[http.StatusOK]), len(successors), len(got[http.StatusBadRequest]))
			}
			for successor := range successors {
				refresh[len(refresh)-1] = successor
			}
			if a := both[1].public(refresh...); (a.status == http.StatusOK) != survives {
				t.Errorf("the successor: %d %s", a.status, a.body)
			}
		})
	}
}

// TestSignOutHoldsInBothProcesses at once (check I10).
func TestSignOutHoldsInBothProcesses(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	b := both[0].signedIn()
	there := both[1].browser()
	there.setCookie(sessionCookie, b.cookie(sessionCookie))
	here, elsewhere := both[0].suite(""), both[1].suite("")
	hint := elsewhere.finish(there, elsewhere.open(there)).tokens.IDToken
	here.logout(b, "id_token_hint", hint)
	elsewhere.wantGone(there)
}
