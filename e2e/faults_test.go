package e2e_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// smallDisk mounts a file system of the given size, where the test may.
func smallDisk(t testing.TB, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("this test mounts a small file system, which needs root: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	return dir
}

// fill writes a file until the disk is full.
func fill(t testing.TB, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, size := range []int{64 << 10, 4 << 10, 512, 1} {
		for block := make([]byte, size); ; {
			if _, err := file.Write(block); err != nil {
				break
			}
		}
	}
}

// TestFullDisk: while the disk is full, what must be written down is refused
// with 503 and changes nothing; what needs no writing goes on; and with space
// the server goes on by itself, with everything it had promised.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	rp := newSite(t)
	as := newServerIn(t, smallDisk(t, "4m"), rp.group()).start(t)
	tokenURL := as.Issuer + "/oauth2/token"

	verifier := oauth2.GenerateVerifier()
	authorize := as.Issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"market-app.spa"}, "redirect_uri": {rp.URL + "/spa"},
		"scope": {"openid items.read"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
	someone := newPerson(t)
	someone.signUp(someone.open(authorize))
	first := redeem(t, tokenURL, rp, verifier)

	someone.open(authorize)
	code := (<-rp.answers).Get("code")
	ballast := filepath.Join(as.Dir, "ballast")
	fill(t, ballast)

	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken}, "client_id": {"market-app.spa"}, "resource": {marketAPI}}
	wantUnavailable(t, tokenURL, refresh)
	redemption := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"market-app.spa"},
		"redirect_uri": {rp.URL + "/spa"}, "code_verifier": {verifier}, "resource": {marketAPI},
	}
	wantUnavailable(t, tokenURL, redemption)
	for _, path := range []string{"/oauth2/jwks", "/.well-known/openid-configuration"} {
		if status := get(t, as.Issuer+path); status != http.StatusOK {
			t.Errorf("%s answers %d on a full disk", path, status)
		}
	}
	if answer, status := send(t, t.Context(), as.Issuer+"/oauth2/introspect", "market.backend", paySecret, url.Values{"token": {first.AccessToken}}); status != http.StatusOK || answer.Scope != "items.read" {
		t.Errorf("introspection answers %d %+v on a full disk", status, answer)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if answer, status := sendPublic(t, tokenURL, redemption); status != http.StatusOK {
		t.Errorf("the code was lost: %d %+v", status, answer)
	}
	if answer, status := sendPublic(t, tokenURL, refresh); status != http.StatusOK {
		t.Errorf("the refresh token was lost: %d %+v", status, answer)
	}
}

// redeem takes the code that just came back to the site.
func redeem(t testing.TB, tokenURL string, rp *site, verifier string) tokenAnswer {
	t.Helper()
	answer, status := sendPublic(t, tokenURL, url.Values{
		"grant_type": {"authorization_code"}, "code": {(<-rp.answers).Get("code")}, "client_id": {"market-app.spa"},
		"redirect_uri": {rp.URL + "/spa"}, "code_verifier": {verifier}, "resource": {marketAPI},
	})
	if status != http.StatusOK {
		t.Fatalf("redeem: %d %s %s", status, answer.Error, answer.Description)
	}
	return answer
}

// sendPublic sends a request of a public client.
func sendPublic(t testing.TB, address string, form url.Values) (tokenAnswer, int) {
	t.Helper()
	response, err := http.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer tokenAnswer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer, response.StatusCode
}

func wantUnavailable(t testing.TB, address string, form url.Values) {
	t.Helper()
	response, err := http.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer tokenAnswer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable || answer.Error != "temporarily_unavailable" || response.Header.Get("Retry-After") == "" {
		t.Errorf("%s on a full disk: %d %+v, Retry-After %q", form.Get("grant_type"), response.StatusCode, answer, response.Header.Get("Retry-After"))
	}
}

func get(t testing.TB, address string) int {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// TestReadOnlyDatabase: a database that cannot be written is named at start.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "4m")
	as := newServerIn(t, dir, newSite(t).group()).start(t)
	as.stop(t)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Fatalf("remount: %s", out)
	}
	out, code := sekisho(t, "", as.args...)
	if code != 1 || !strings.Contains(out, "sekisho.db") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestOtherProcessApplies: a group applied by the command line is what a
// running server serves, without a restart.
func TestOtherProcessApplies(t *testing.T) {
	t.Parallel()
	rp := newSite(t)
	as := newServer(t, rp.group()).start(t)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"settle"}}
	post(t, as.Issuer+"/oauth2/token", "crypto.backend", cryptoSecret, form)

	without := strings.Replace(strings.ReplaceAll(rp.group(), "$ISSUER", as.Issuer),
		"  - { from: crypto, to: market, user: [items.read], service: [settle] }\n", "", 1)
	file := filepath.Join(t.TempDir(), "group.yaml")
	if err := os.WriteFile(file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := sekisho(t, "", "apply", file, "--dev", "--database", filepath.Join(as.Dir, "sekisho.db"))
	if code != 0 || !strings.Contains(out, "- crypto may no longer call market for itself with settle.") {
		t.Fatalf("apply: exit %d\n%s", code, out)
	}
	for attempt := 0; ; attempt++ { // the change feed is polled twice a second
		answer, status := send(t, t.Context(), as.Issuer+"/oauth2/token", "crypto.backend", cryptoSecret, form)
		if status == http.StatusBadRequest && (answer.Error == "invalid_target" || answer.Error == "invalid_scope") {
			return
		}
		if status != http.StatusOK || attempt == 5000 {
			t.Fatalf("%d %+v after %d attempts", status, answer, attempt)
		}
	}
}

// TestListeners: what operators see is not on the public listener, a fresh
// database is private to its owner, and a second process on the same port says
// why it ends.
func TestListeners(t *testing.T) {
	t.Parallel()
	as := newServer(t, newSite(t).group()).start(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
		if status := get(t, as.Issuer+path); status != http.StatusNotFound {
			t.Errorf("%s on the public listener: %d", path, status)
		}
		if status := get(t, as.Ops+path); status != http.StatusOK {
			t.Errorf("%s on the operators' listener: %d", path, status)
		}
	}
	for _, name := range []string{"sekisho.db", "sekisho.db.ppid-secret", "sekisho.db.key-encryption-key"} {
		info, err := os.Stat(filepath.Join(as.Dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s is missing", name)
		case info.Mode().Perm() != 0o600:
			t.Errorf("%s is readable for others: %v", name, info.Mode())
		}
	}
	out, code := sekisho(t, "", as.args...)
	if code != 1 || !strings.Contains(out, "address already in use") || !strings.Contains(out, "--listen") {
		t.Errorf("second process: exit %d: %s", code, out)
	}
}
