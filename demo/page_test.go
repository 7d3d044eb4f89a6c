package demo_test

import (
	"context"
	"flag"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sekisho-id/sekisho/demo"
)

// picture is where the page is kept as a picture, for the README:
//
//	go test ./demo -run PageInChromium -picture ../docs/images/demo.png
var picture = flag.String("picture", "", "file to keep a picture of the page in")

// chromium opens a headless browser. What a page complains of (a blocked
// style, an exception) fails the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs chromium")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
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
			if message.Type == chromedp.ConsoleError || message.IsException() {
				t.Errorf("the browser complains: %s %s", message, message.URL)
			}
		}
	}()
	ctx, expire := context.WithTimeout(browser, 2*time.Minute)
	t.Cleanup(func() {
		expire()
		leave()
		<-watched
	})
	return ctx
}

// latest waits until what happened last holds a text.
func latest(text string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitReady(`//*[@id="trace"]/details[1][contains(., "` + text + `")]`)
}

// known waits until the table of ids holds a text.
func known(text string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitReady(`//*[@id="ids"][contains(., "` + text + `")]`)
}

// press presses a button and waits until the page it leads to has taken the place
// of this one: the page is live, so what the button caused may be seen before.
func press(id string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.dataset.pressed = "pressed"`)); err != nil {
			return chromedp.Void{}, err
		}
		return chromedp.Void{}, chromedp.Do(ctx, chromedp.Click(chromedp.ID(id)), chromedp.WaitReady(`html:not([data-pressed])`))
	}
}

func TestPageInChromium(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	group := start(t)
	run := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	taro := demo.Members()[0]
	run("sign in to the app", chromedp.Navigate(group.PageURL()+"/"), press("do-market-app-signin"), chromedp.WaitVisible(chromedp.ID("signin-form")),
		chromedp.SendKeys(chromedp.ID("email"), taro.Email), chromedp.SendKeys(chromedp.ID("password"), taro.Password), press("submit"),
		latest("redeems the code"), known("user-700"))
	run("link crypto", press("do-crypto-signin"), latest("own password"), press("do-crypto-link"), latest("redeems the code"), known("C4815"),
		press("do-crypto-items"), latest("/items/mine"), press("do-crypto-settle"), latest("/settlements"))
	run("buy", press("do-market-app-buy"), latest("pay.backend ← market-app.web"), known("pay:"))
	run("sign in at the partner", press("do-partner-signin"), chromedp.WaitVisible(chromedp.ID("consent-form")), press("allow"), known("reader:001"),
		press("do-partner-shelf"), latest("shows items on the blog"))
	run("settle", press("do-page-batch"), latest("pay.nightly"))
	run("sell", press("do-market-app-offer"), latest("POST /items"), press("do-market-app-sell"),
		latest("market→pay tells: item.sold"), latest("market→crypto tells: item.sold"), latest("market→partner tells: item.sold"))
	if *picture != "" {
		run("make room", chromedp.EmulateViewport(1280, 1560), chromedp.ScrollIntoView(chromedp.ID("do-market-app-signin")))
		shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*picture, shot, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, refused := range []struct{ button, code string }{
		{"do-crypto-refused-undeclared", "pay"},
		{"do-market-app-refused-itself", "unauthorized_client"},
		{"do-page-refused-batch", "insufficient_scope"},
		{"do-market-app-refused-misaddressed", "invalid_request"},
		{"do-market-app-refused-stolen", "invalid_token"},
		{"do-market-app-refused-when", "invalid_scope"},
		{"do-partner-refused-chain", "invalid_target"},
	} {
		run(refused.button, press(refused.button), latest(refused.code))
	}
	run("sign out", press("do-market-app-signout"), chromedp.WaitReady(`//*[@id="notice"][contains(., "not signed in")]`))
}

func TestPageIsLive(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	group := start(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(group.PageURL()+"/")); err != nil {
		t.Fatal(err)
	}
	// Somebody else does something; the open page learns of it by itself.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, group.PageURL()+"/refused/batch", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	// The page is not loaded anew, so the page itself can be asked to wait.
	learned := chromedp.Poll[bool](`document.querySelector("#trace").textContent.includes("insufficient_scope") &&
		document.querySelector("#edge-batch-market").matches(".refused")`, chromedp.WithPollingMutation())
	if _, err := chromedp.Run(ctx, learned); err != nil {
		t.Fatal(err)
	}
}
