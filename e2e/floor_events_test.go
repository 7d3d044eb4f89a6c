package e2e_test

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const floorAtOnce = 8 // requests to one receiver, as the server has them

// floorClient keeps as many connections as the server does.
var floorClient = &http.Client{Transport: &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 16, DisableCompression: true}}

// deliver signs once with ES256 and posts, for each delivery: what cannot be left
// out of bringing an event to a receiver.
func (f *floor) deliver(w http.ResponseWriter, r *http.Request) {
	each, form := atoi(r.FormValue("each")), r.FormValue("form")
	var failed atomic.Int64
	var group sync.WaitGroup
	for _, to := range r.Form["to"] {
		left := new(atomic.Int64)
		left.Store(int64(each))
		for range floorAtOnce {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					if err := f.push(to, form); err != nil {
						failed.Add(1)
					}
				}
			})
		}
	}
	group.Wait()
	if failed.Load() > 0 {
		http.Error(w, "not all were taken", http.StatusBadGateway)
	}
}

func (f *floor) push(to, form string) error {
	token := f.sign()
	body, contentType := token, "application/secevent+jwt"
	if form != "SET" {
		body, contentType = `{"item":4711,"price":3200,"title":"Teapot"}`, "application/json"
	}
	request, err := http.NewRequest(http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	if form != "SET" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := floorClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%d %w", response.StatusCode, err)
	}
	return nil
}

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err) // this program itself asks
	}
	return n
}

// signMany answers as many tokens as one request for credentials gets.
func (f *floor) signMany(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "form", http.StatusBadRequest)
		return
	}
	_, secret, _ := r.BasicAuth()
	given, known := sum(secret), false
	for _, hash := range f.secrets {
		known = known || subtle.ConstantTimeCompare(given, hash) == 1
	}
	if !known {
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	tokens := make([]string, proofsAtOnce)
	for i := range tokens {
		tokens[i] = f.sign()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"authorization_details": tokens})
}
