package web_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/sekisho-id/sekisho/internal/web"
)

// What is less urgent is refused first, with Retry-After, and everything is taken
// again once something has ended.
func TestAdmission(t *testing.T) {
	t.Parallel()
	a := &web.Admission{Most: 10}
	begun, end := make(chan struct{}), make(chan struct{})
	hold := a.Admit(web.Checks, func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-end
	})
	var held sync.WaitGroup
	takes := map[web.Urgency]int{} // how many are under way when it is first refused
	order := []web.Urgency{web.SignUps, web.SignIns, web.Tokens, web.Checks}
	for underWay := range 11 {
		for _, u := range order {
			answered := httptest.NewRecorder()
			a.Admit(u, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })(answered, httptest.NewRequest(http.MethodPost, "/", nil))
			switch _, refused := takes[u]; {
			case answered.Code == http.StatusNoContent && refused:
				t.Errorf("urgency %d is taken beside %d though not beside fewer", u, underWay)
			case answered.Code == http.StatusServiceUnavailable && answered.Header().Get("Retry-After") == "":
				t.Error("refused without Retry-After")
			case answered.Code == http.StatusServiceUnavailable && !refused:
				takes[u] = underWay
			}
		}
		if underWay < 10 {
			held.Go(func() { hold(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil)) })
			<-begun
		}
	}
	for u, want := range map[web.Urgency]int{web.SignUps: 4, web.SignIns: 5, web.Tokens: 8, web.Checks: 10} {
		if takes[u] != want {
			t.Errorf("urgency %d is first refused beside %d, want %d", u, takes[u], want)
		}
	}
	close(end)
	held.Wait()
	answered := httptest.NewRecorder()
	a.Admit(web.SignUps, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })(answered, httptest.NewRequest(http.MethodPost, "/", nil))
	if answered.Code != http.StatusNoContent || a.UnderWay() != 0 || a.Refused()["sign-up"] != 7 {
		t.Errorf("afterwards: %d, %d under way, refused %v", answered.Code, a.UnderWay(), a.Refused())
	}
}
