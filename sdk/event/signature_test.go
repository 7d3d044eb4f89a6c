package event_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
)

// The example of the Standard Webhooks specification's reference libraries.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		body   = `{"test": 2432232314}`
	)
	at := time.Unix(1614265330, 0)
	header := make(http.Header)
	event.Sign(header, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(body), secret)
	if got := header.Get("Webhook-Signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("got %s", got)
	}
	if err := event.VerifySignature([]string{secret}, header, []byte(body), at); err != nil {
		t.Error(err)
	}
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	body := []byte(`{"item":"lamp"}`)
	signed := func(at time.Time, secrets ...string) http.Header {
		header := make(http.Header)
		event.Sign(header, "id-1", at, body, secrets...)
		return header
	}
	with := func(name, value string) http.Header {
		header := signed(now, newSecret)
		header.Set(name, value)
		return header
	}
	good := signed(now, newSecret).Get("Webhook-Signature")
	both := []string{oldSecret, newSecret}
	for name, c := range map[string]struct {
		secrets []string
		header  http.Header
		want    error
	}{
		"right":                      {both, signed(now, newSecret), nil},
		"the secret before":          {both, signed(now, oldSecret), nil},
		"signed with both":           {[]string{newSecret}, signed(now, oldSecret, newSecret), nil},
		"five minutes old":           {both, signed(now.Add(-5*time.Minute), newSecret), nil},
		"five minutes ahead":         {both, signed(now.Add(5*time.Minute), newSecret), nil},
		"another scheme beside":      {both, with("Webhook-Signature", "v1a,AAAA "+good), nil},
		"older":                      {both, signed(now.Add(-5*time.Minute-time.Second), newSecret), event.ErrSignatureAge},
		"further ahead":              {both, signed(now.Add(5*time.Minute+time.Second), newSecret), event.ErrSignatureAge},
		"the end of time":            {both, with("Webhook-Timestamp", "9223372036854775807"), event.ErrSignatureAge},
		"the beginning of time":      {both, with("Webhook-Timestamp", "-9223372036854775808"), event.ErrSignatureAge},
		"no secret":                  {nil, signed(now, newSecret), event.ErrSignature},
		"another secret":             {[]string{oldSecret}, signed(now, newSecret), event.ErrSignature},
		"another id":                 {both, with("Webhook-Id", "id-2"), event.ErrSignature},
		"another time":               {both, with("Webhook-Timestamp", strconv.FormatInt(now.Unix()+1, 10)), event.ErrSignature},
		"a time spelled differently": {both, with("Webhook-Timestamp", "0"+strconv.FormatInt(now.Unix(), 10)), event.ErrSignature},
		"no time":                    {both, with("Webhook-Timestamp", ""), event.ErrSignature},
		"no id":                      {both, with("Webhook-Id", ""), event.ErrSignature},
		"no signature":               {both, with("Webhook-Signature", ""), event.ErrSignature},
		"no scheme":                  {both, with("Webhook-Signature", strings.TrimPrefix(good, "v1,")), event.ErrSignature},
		"another scheme":             {both, with("Webhook-Signature", strings.Replace(good, "v1,", "v2,", 1)), event.ErrSignature},
		"a long list":                {both, with("Webhook-Signature", strings.Repeat("v1,AAAA ", 20)+good), event.ErrSignature},
		"a secret without prefix":    {[]string{strings.TrimPrefix(newSecret, "whsec_")}, signed(now, newSecret), event.ErrSignature},
	} {
		if err := event.VerifySignature(c.secrets, c.header, body, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if err := event.VerifySignature(both, signed(now, newSecret), []byte(`{"item":"lamb"}`), now); !errors.Is(err, event.ErrSignature) {
		t.Errorf("another body: got %v", err)
	}
	// Nobody signs with a secret that is none.
	for _, none := range []string{"", "whsec_", "whsec_AAAA", "whsec_!!!"} {
		if header := signed(now, none); header.Get("Webhook-Signature") != "" {
			t.Errorf("signed with %q", none)
		}
		if err := event.VerifySignature([]string{none}, with("Webhook-Signature", ""), body, now); !errors.Is(err, event.ErrSignature) {
			t.Errorf("%q: got %v", none, err)
		}
	}
}

// FuzzVerifySignature: what it takes was signed over exactly these bytes.
func FuzzVerifySignature(f *testing.F) {
	header := make(http.Header)
	event.Sign(header, "id-1", time.Unix(1_700_000_000, 0), []byte("{}"), newSecret)
	f.Add("id-1", "1700000000", header.Get("Webhook-Signature"), "{}")
	f.Add("id-1.1700000000", "", "v1,", "")
	f.Fuzz(func(t *testing.T, id, timestamp, signature, body string) {
		got := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		if event.VerifySignature([]string{newSecret}, got, []byte(body), time.Unix(1_700_000_000, 0)) != nil {
			return
		}
		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		want := make(http.Header)
		event.Sign(want, id, time.Unix(seconds, 0), []byte(body), newSecret)
		if err != nil || !strings.Contains(" "+signature+" ", " "+want.Get("Webhook-Signature")+" ") {
			t.Fatalf("took %q %q %q %q", id, timestamp, signature, body)
		}
	})
}
