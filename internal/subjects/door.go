package subjects

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Config is what the door needs. All fields but TrustProxy are required.
type Config struct {
	DB         *db.DB
	Registry   *registry.Registry
	Grants     *grant.Grants
	Pairwise   *pairwise.Pairwise
	Mint       *mint.Mint
	Audit      *audit.Log
	TrustProxy []netip.Prefix    // peers whose X-Forwarded-For is believed
	Budgets    *pairwise.Budgets // shared with the other doors that convert
	Now        func() time.Time
}

// Door serves the endpoints.
type Door struct {
	Config
}

// New makes a Door.
func New(c Config) *Door { return &Door{Config: c} }

// Convert is the conversion endpoint.
func (d *Door) Convert(w http.ResponseWriter, r *http.Request) {
	answer, err := d.convert(w, r)
	d.write(w, r, answer, err)
}

// Reissue is the endpoint where a relying party gets the subjects that it knows
// people by since its sector was re-keyed, for those of before.
func (d *Door) Reissue(w http.ResponseWriter, r *http.Request) {
	answer, err := d.reissue(w, r)
	d.write(w, r, answer, err)
}

func (d *Door) write(w http.ResponseWriter, r *http.Request, answer []byte, err error) {
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(answer)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(answer) // the asker is gone if this fails; nobody is left to tell
}

// convert is the road of a conversion, in order.
func (d *Door) convert(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	ctx := r.Context()
	asker, err := d.checkAsker(w, r, mayConvert)
	if err != nil {
		return nil, err
	}
	request, err := parseRequest(w, r, convertForm)
	if err != nil {
		return nil, err
	}
	event := web.Event(ctx)
	event.Set("from", request.From)
	event.Set("to", request.To)
	event.Set("asked", len(request.Subjects))
	ends, err := findEnds(d.Registry.Current(), asker.Subsystem, request)
	if err != nil {
		return nil, d.refused(r, asker, request, err)
	}
	if err := d.Budgets.Take(ctx, asker.Subsystem.Name, len(request.Subjects)); err != nil {
		return nil, d.refused(r, asker, request, err)
	}
	people, err := d.Pairwise.Resolve(ctx, ends.from, request.Subjects)
	if err != nil {
		return nil, err
	}
	if ends.holdersOf != nil {
		if err := d.keepHolders(ctx, ends.holdersOf, people); err != nil {
			return nil, err
		}
	}
	answer, converted := d.appendAnswer(ends.to, people)
	event.Set("converted", converted)
	return answer, d.converted(r, asker, request, converted)
}

// reissue is the road of a renewal. Both ends are the asker's own, so nobody is
// learnt of and no budget is needed; a subject that is new already stays as it is.
func (d *Door) reissue(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	ctx := r.Context()
	asker, err := d.checkAsker(w, r, mayReissue)
	if err != nil {
		return nil, err
	}
	request, err := parseRequest(w, r, reissueForm)
	if err != nil {
		return nil, err
	}
	web.Event(ctx).Set("asked", len(request.Subjects))
	sector := asker.Subsystem.Sector
	people, err := d.Pairwise.Resolve(ctx, sector, request.Subjects)
	if err != nil {
		return nil, err
	}
	answer, reissued := d.appendReissued(sector, people)
	web.Event(ctx).Set("reissued", reissued)
	return answer, d.Audit.Enqueue(d.record(r, asker, audit.Record{
		Event: audit.SubjectsReissued, Outcome: audit.OK,
		Detail: map[string]any{"sector": sector.Name, "asked": len(request.Subjects), "reissued": reissued},
	}))
}

// converted records what was done: the counts, never two subjects of a person
// side by side.
func (d *Door) converted(r *http.Request, asker *registry.Client, request *request, converted int) error {
	return d.Audit.Enqueue(d.record(r, asker, audit.Record{
		Event: audit.SubjectsConverted, Outcome: audit.OK,
		Detail: map[string]any{"from": request.From, "to": request.To, "asked": len(request.Subjects), "converted": converted},
	}))
}

// refused records a refusal and gives it back, or the reason why it could not be
// recorded.
func (d *Door) refused(r *http.Request, asker *registry.Client, request *request, refusal error) error {
	reason, ok := reasonOf(refusal)
	if !ok {
		return refusal // the server's own failure, not a decision
	}
	err := d.Audit.Enqueue(d.record(r, asker, audit.Record{
		Event: audit.SubjectsRefused, Outcome: audit.Refused, Reason: reason,
		Detail: map[string]any{"from": cut(request.From), "to": cut(request.To), "asked": len(request.Subjects)},
	}))
	if err != nil {
		return err
	}
	return refusal
}

func (d *Door) record(r *http.Request, asker *registry.Client, record audit.Record) audit.Record {
	record.At, record.Client, record.Request = d.Now(), asker.ID, web.Event(r.Context()).ID
	record.Source = web.ClientIP(r, d.TrustProxy).String()
	return record
}

// cut keeps a name that nobody has from filling the audit log.
func cut(name string) string {
	const most = 64
	return name[:min(len(name), most)]
}
