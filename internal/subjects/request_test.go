package subjects

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What is taken is JSON that says the same to encoding/json.
func FuzzReadRequest(f *testing.F) {
	for _, seed := range []string{
		`{"from":"a","to":"b","subjects":["x","y"]}`, `{"subjects":[],"to":"","from":""}`, `{"from":"a","from":"a"}`,
		`{"from":"\ud800","to":"b","subjects":["\u0000"]}`, `{}`, `[]`, ``, `{"from":"a","to":"b","subjects":[` + strings.Repeat(`"",`, 1000) + `""]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readRequest(body, convertForm)
		if err != nil {
			return
		}
		var want struct {
			From, To string
			Subjects []string
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("%q was taken, and is %v", body, err)
		}
		if got.From != want.From || got.To != want.To || !slices.Equal(got.Subjects, want.Subjects) || len(got.Subjects) > MaxSubjects {
			t.Errorf("%q is %+v, not %+v", body, got, want)
		}
	})
}
