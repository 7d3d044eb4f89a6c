package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestConsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(asBlog...), "aiko")
	wantPage(t, page, "consent-form")
	for _, words := range []string{"Blog", "See items", "aiko@example.test", "blog.test", "https://blog.test/privacy"} {
		if !strings.Contains(page.body, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	if has(page, "offline") {
		t.Error("the page speaks of offline access that is not asked for")
	}
	wantTold(t, w.authorize(append(asBlog, "prompt", "none")...), "https://blog.test/cb?", "consent_required", "")

	// No: the client learns it, nothing is remembered, the page is done.
	query := wantTold(t, w.fill(page, "consent-form", "decision", "deny"), "https://blog.test/cb?", "access_denied", "")
	if query.Get("state") != "st" {
		t.Errorf("state %q", query.Get("state"))
	}
	wantShown(t, w.fill(page, "consent-form", "decision", "allow"), http.StatusGone, "invalid_request", "completed")

	// Yes: remembered, and asked again for more, for prompt=consent.
	page = w.authorize(asBlog...)
	wantPage(t, page, "consent-form")
	b.redeem(wantCode(t, w.fill(page, "consent-form", "decision", "allow"), "https://blog.test/cb?"), "blog.web", "https://blog.test/cb")
	wantCode(t, w.authorize(append(asBlog, "prompt", "none")...), "https://blog.test/cb?")
	wantPage(t, w.authorize(append(asBlog, "prompt", "consent")...), "consent-form")
	page = w.authorize(append(asBlog, "scope", "openid items.read offline_access")...)
	wantPage(t, page, "consent-form")
	wantPage(t, page, "offline")
	granted := b.redeem(wantCode(t, w.fill(page, "consent-form", "decision", "allow"), "https://blog.test/cb?"), "blog.web", "https://blog.test/cb")
	if !granted.Offline {
		t.Error("the grant is not for offline use")
	}
	// prompt=consent may not be answered twice from one page.
	page = w.authorize(append(asBlog, "prompt", "consent")...)
	wantCode(t, w.fill(page, "consent-form", "decision", "allow"), "https://blog.test/cb?")
	// Another person is asked for themselves.
	wantPage(t, w.signIn(w.authorize(append(asBlog, "prompt", "login")...), "ben"), "consent-form")
}

// TestConsentIsBoundToTheRequest: nothing in the form says what is allowed, to
// whom or by whom (W4).
func TestConsentIsBoundToTheRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(asBlog...), "aiko")
	action, values := w.form(page, "consent-form")
	for _, extra := range []string{"scope", "client_id", "redirect_uri", "resource", "account"} {
		form := url.Values{"csrf": values["csrf"], "decision": {"allow"}, extra: {"items.write"}}
		wantShown(t, w.post(action, form), http.StatusBadRequest, "invalid_request", "field")
	}
	for _, decision := range []string{"", "maybe"} {
		form := url.Values{"csrf": values["csrf"], "decision": {decision}}
		wantShown(t, w.post(action, form), http.StatusBadRequest, "invalid_request", "decision")
	}
	form := url.Values{"csrf": values["csrf"], "decision": {"allow", "deny"}}
	wantShown(t, w.post(action, form), http.StatusBadRequest, "invalid_request", "more than once")

	// The form of another request of the same client, and of another browser.
	other := w.authorize(append(asBlog, "scope", "openid profile")...)
	otherAction, _ := w.form(other, "consent-form")
	allow := url.Values{"csrf": values["csrf"], "decision": {"allow"}}
	wantShown(t, w.post(otherAction, allow), http.StatusForbidden, "invalid_request", "form")
	stranger := b.browser()
	stranger.authorize()
	wantShown(t, stranger.post(action, allow), http.StatusGone, "invalid_request", "another browser")

	// Somebody else signed in meanwhile: the first person's page decides nothing.
	w.signIn(w.authorize("prompt", "login"), "ben")
	wantShown(t, w.post(action, allow), http.StatusForbidden, "invalid_request", "form")
	if n := b.consents(); n != 0 {
		t.Errorf("%d consents are remembered, want none", n)
	}
}

// TestConsentIsToWhatWasShown: when the group gives more to the same request
// than the page that is open said, the person is asked again.
func TestConsentIsToWhatWasShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(append(asBlog, "scope", "openid items.read items.like")...), "aiko")
	wantPage(t, page, "consent-form")
	err := b.regroup(t.Context(), "items.write: Sell items,", "items.write: Sell items, items.like: Like items,",
		"from: blog, to: market, user: [items.read]", "from: blog, to: market, user: [items.read, items.like]")
	if err != nil {
		t.Fatal(err)
	}
	wantShown(t, w.fill(page, "consent-form", "decision", "allow"), http.StatusForbidden, "invalid_request", "form")
	if n := b.consents(); n != 0 {
		t.Errorf("%d consents are remembered", n)
	}
	again := w.get(mustAction(w, page, "consent-form"))
	if !strings.Contains(again.body, "Like items") {
		t.Errorf("the page does not tell what is new:\n%s", again.body)
	}
	wantCode(t, w.fill(again, "consent-form", "decision", "allow"), "https://blog.test/cb?")
}

// TestGroupChangesMeanwhile: what is allowed is decided when the code is made.
func TestGroupChangesMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(asBlog...), "aiko")
	wantPage(t, page, "consent-form")
	if err := b.regroup(t.Context(), "- { from: blog, to: market, user: [items.read] }", ""); err != nil {
		t.Fatal(err)
	}
	wantTold(t, w.fill(page, "consent-form", "decision", "allow"), "https://blog.test/cb?", "invalid_scope", "edge from blog to market")
	if err := b.regroup(t.Context(), "https://blog.test/cb", "https://blog.test/elsewhere"); err != nil {
		t.Fatal(err)
	}
	wantShown(t, w.fill(page, "consent-form", "decision", "allow"), http.StatusBadRequest, "invalid_request", "not registered any more")
}
