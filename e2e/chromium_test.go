package e2e_test

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// tab is a person at a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// newTab opens a headless Chromium. What a page complains of (a script or form
// that a policy blocked, an answer that CORS hides, an exception) fails the
// test, but for complaints with one of the expected texts.
func newTab(t *testing.T, expected ...string) *tab {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("this test needs chromium: make prerequisites")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.DisableGPU)
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	browser, leave := chromedp.NewContext(allocated)
	t.Cleanup(leave)
	console := chromedp.Console(browser)
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for message, err := range console {
			if err != nil {
				return // the browser has ended
			}
			complains := message.Type == chromedp.ConsoleError || message.IsException()
			if complains && !slices.ContainsFunc(expected, func(text string) bool { return strings.Contains(message.String(), text) }) {
				t.Errorf("the browser complains: %s %s", message, message.URL)
			}
		}
	}()
	ctx, expire := context.WithTimeout(browser, time.Minute)
	t.Cleanup(func() {
		expire()
		leave()
		<-watched
	})
	return &tab{t: t, ctx: ctx}
}

// run takes steps, and tells what the browser shows when one of them fails.
func (b *tab) run(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		seen, _ := chromedp.Run(context.WithoutCancel(b.ctx), chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		b.t.Fatalf("%s: %v\nat %s", what, err, seen)
	}
}

// signUp fills in the pages of somebody who has no account yet.
func (b *tab) signUp() {
	b.t.Helper()
	b.run("sign up",
		chromedp.Click(chromedp.ID("signup-link")), chromedp.WaitVisible(chromedp.ID("signup-form")),
		chromedp.SendKeys(chromedp.ID("name"), "Hanako"), chromedp.SendKeys(chromedp.ID("email"), email),
		chromedp.SendKeys(chromedp.ID("password"), password), press("submit"))
}

// signIn fills in the page of somebody who has one.
func (b *tab) signIn() {
	b.t.Helper()
	b.run("sign in", chromedp.SendKeys(chromedp.ID("email"), email), chromedp.SendKeys(chromedp.ID("password"), password), press("submit"))
}

// opened is the window that a step opens.
func (b *tab) opened(step chromedp.Action[chromedp.Void]) *tab {
	b.t.Helper()
	window := chromedp.WaitNewTarget(b.ctx, func(*target.Info) bool { return true })
	b.run("open a window", step)
	ctx, leave := chromedp.NewContext(b.ctx, chromedp.WithTargetID(<-window))
	b.t.Cleanup(leave)
	return &tab{t: b.t, ctx: ctx}
}

func press(id string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.ID(id)) }

// shows waits until the element with the id holds a text.
func shows(id, text string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitReady(`//*[@id="` + id + `"][contains(., "` + text + `")]`)
}
