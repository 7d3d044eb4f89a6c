package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	tokenFor     = 4 * time.Minute // a token is used, on the servers' clock
	askFor       = 8 * time.Second // the publisher waits for an answer
	unavailable  = 50 * time.Millisecond
	publisherLog = "publisher.log"
)

// caller asks the servers for something, as a client with a token of its own. One
// that does not answer is left for the next.
type caller struct {
	lab    *lab
	client string
	scope  string
	http   *http.Client
	token  string
	until  time.Time // on the servers' clock
	at     int       // the server it asks
}

func (l *lab) newCaller(client, scope string) *caller {
	return &caller{lab: l, client: client, scope: scope, http: &http.Client{Timeout: askFor}}
}

// authorize gets a token, unless there is one that lives.
func (c *caller) authorize(base string) error {
	if c.lab.clock.now().Before(c.until) {
		return nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {c.scope}}.Encode()
	request, err := http.NewRequestWithContext(c.lab.ctx, http.MethodPost, base+"/oauth2/token", strings.NewReader(form))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.client, clientSecret)
	asked := c.lab.clock.now()
	status, body, err := c.do(request)
	if err != nil {
		return err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		return fmt.Errorf("token of %s: %d %s", c.client, status, body)
	}
	c.token, c.until = answer.Token, asked.Add(tokenFor)
	return nil
}

func (c *caller) do(request *http.Request) (status int, body []byte, err error) {
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// post sends JSON to the server of the moment.
func (c *caller) post(path string, value any) (status int, body []byte, err error) {
	base := "http://" + c.lab.servers[c.at].listen
	if err := c.authorize(base); err != nil {
		return 0, nil, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(c.lab.ctx, http.MethodPost, base+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	return c.do(request)
}

// publisher publishes events at a steady rate, in order, and each until it is
// acknowledged.
type publisher struct {
	*caller
	log    *ledger[publication]
	both   bool // there are two servers
	perSec int
	batch  int
	next   atomic.Int64 // event
}

func (l *lab) newPublisher(perSec, batch int) (*publisher, error) {
	log, err := newLedger[publication](filepath.Join(l.dir, publisherLog))
	return &publisher{caller: l.newCaller(publisherName+".backend", "events:publish"), log: log, perSec: perSec, batch: batch}, err
}

// published is how many events are acknowledged.
func (p *publisher) published() int { return int(p.next.Load()) }

// run publishes until ctx ends. If it cannot, the run of the lab ends.
func (p *publisher) run(ctx context.Context) error {
	err := errors.Join(p.loop(ctx), p.log.close())
	if err != nil {
		p.lab.fail(err)
	}
	return err
}

func (p *publisher) loop(ctx context.Context) error {
	ticker := time.NewTicker(time.Second * time.Duration(p.batch) / time.Duration(p.perSec))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := p.publish(p.batch); err != nil {
			return err
		}
	}
}

// publish hands in the next events, again and again until a server has them.
func (p *publisher) publish(count int) error {
	first := p.published()
	type event struct {
		ID      string         `json:"id"`
		Type    string         `json:"type"`
		Subject string         `json:"subject"`
		Data    map[string]any `json:"data"`
	}
	events := make([]event, count)
	for i := range events {
		n := first + i
		events[i] = event{eventID(n), eventType, p.lab.subjects[n%len(p.lab.subjects)], map[string]any{"n": n, "title": "a teapot", "price": 3200}}
	}
	for {
		line := publication{Start: p.lab.since(), Outcome: unknown}
		status, body, err := p.post("/events", events)
		line.End = p.lab.since()
		switch {
		case err != nil:
		case status == http.StatusAccepted:
			line.Outcome = acknowledged
		case status == http.StatusServiceUnavailable:
			line.Outcome = refused
		case status == http.StatusUnauthorized: // the clock has jumped since the token was made
			line.Outcome, p.until = refused, time.Time{}
		default:
			return fmt.Errorf("publish: %d %s", status, body)
		}
		for i := range events {
			line.N = first + i
			p.log.write(line)
		}
		if line.Outcome == acknowledged {
			p.next.Add(int64(len(events)))
			return nil
		}
		if p.both {
			p.at = 1 - p.at
		}
		if err := p.lab.pause(unavailable); err != nil {
			return err
		}
	}
}

// eventID is what the publisher calls an event.
func eventID(n int) string { return "sale-" + strconv.Itoa(n) }
