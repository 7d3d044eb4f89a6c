package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
)

// page is the one screen of the example: buttons that start each scenario at
// the system it belongs to, a picture, and live what happened.
type page struct {
	trace     *Trace
	urls      map[string]string
	groupFile string
	batch     *batch
	ids       func(context.Context) ([]ID, error)
	logger    *slog.Logger
}

// pageView is what page.html shows.
type pageView struct {
	URL      map[string]string
	Ready    []Member
	Refusals []refusal
	IDs      []ID
	IDCount  int

	Happenings []happening // the newest first
}

// happening is what one press of a button brought about.
type happening struct {
	Visit Step
	Steps []Step
}

// happenings groups steps by the visit that came before them.
func happenings(steps []Step) []happening {
	var groups []happening
	for _, step := range steps {
		if step.From == partyBrowser || len(groups) == 0 {
			groups = append(groups, happening{Visit: step})
			continue
		}
		last := &groups[len(groups)-1]
		last.Steps = append(last.Steps, step)
	}
	slices.Reverse(groups)
	return groups
}

// act is a button that posts to a system's site and comes back to the page.
type act struct {
	URL, ID, Title string
	Hidden         map[string]string
}

// Act makes a button; the template calls it.
func (v pageView) Act(party, path, title string) act {
	made := act{URL: v.URL[party] + "/" + path, ID: party + "-" + strings.ReplaceAll(path, "/", "-"), Title: title}
	switch made.ID {
	case "crypto-signin":
		made.Hidden = map[string]string{"name": mikaName, "password": mikaPassword}
	case "market-app-offer":
		made.Hidden = map[string]string{"title": "Teapot", "price": "3200"}
	}
	return made
}

func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /group.yaml", p.showGroupFile)
	mux.HandleFunc("POST /clear", p.clear)
	mux.Handle("POST /batch", p.trace.visit(partyBatch, "starts the nightly settlement", http.HandlerFunc(p.runBatch)))
	mux.Handle("POST /refused/batch", p.trace.visit(partyBatch, "lets the batch read a person's items", http.HandlerFunc(p.misuseBatch)))
	for _, name := range []string{"page.js", "demo.css", "icon.svg"} {
		mux.Handle("GET /"+name, asset(name))
	}
	policy := contentPolicy("script-src 'self'; img-src 'self'; connect-src 'self'; ",
		p.urls[partyServer], p.urls[partyApp], p.urls[partyCrypto], p.urls[partyPartner])
	return secured(policy, http.NewCrossOriginProtection().Handler(mux))
}

func (p *page) show(w http.ResponseWriter, r *http.Request) {
	steps, _ := p.trace.all()
	ids, err := p.ids(r.Context())
	if err != nil && r.Context().Err() == nil {
		p.logger.Error("the ids of the person could not be read", "error", err)
	}
	writePage(w, p.logger, http.StatusOK, "page.html", pageView{
		URL: p.urls, Ready: members, Refusals: refusals, IDs: ids, IDCount: countIDs(ids), Happenings: happenings(steps),
	})
}

// events tells the browser which steps changed (server-sent events). The page
// itself is made here, so an event carries only what lights the picture.
func (p *page) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	steps, revision := p.trace.all()
	for first := true; ; first = false {
		news, err := json.Marshal(newsOf(first, steps))
		if err != nil {
			p.logger.Error("event not made", "error", err)
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", news); err != nil {
			return // the browser has gone
		}
		if err := control.Flush(); err != nil {
			return
		}
		if steps, revision, err = p.trace.after(r.Context(), revision); err != nil {
			return
		}
	}
}

// news is one event.
type news struct {
	First bool       `json:"first"` // all there is so far
	Steps []stepNews `json:"steps"`
}

type stepNews struct {
	Number  int    `json:"number"`
	From    string `json:"from"`
	To      string `json:"to"`
	Refused bool   `json:"refused"`
}

func newsOf(first bool, steps []Step) news {
	told := news{First: first, Steps: []stepNews{}}
	for _, step := range steps {
		told.Steps = append(told.Steps, stepNews{step.Number, step.From, step.To, step.Refusal != nil})
	}
	return told
}

func (p *page) showGroupFile(w http.ResponseWriter, _ *http.Request) {
	text, err := os.ReadFile(p.groupFile)
	if err != nil {
		p.logger.Error("the group file could not be read", "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := w.Write(text); err != nil {
		p.logger.Debug("group file not sent", "error", err)
	}
}

func (p *page) clear(w http.ResponseWriter, r *http.Request) {
	p.trace.clear()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *page) runBatch(w http.ResponseWriter, r *http.Request) {
	count, err := p.batch.run(r.Context())
	p.logger.Info("nightly settlement", "settled", count, "error", err)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *page) misuseBatch(w http.ResponseWriter, r *http.Request) {
	p.logger.Info("the batch read a person's items", "error", p.batch.readItems(r.Context()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
