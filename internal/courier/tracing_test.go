package courier_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/tracetest"
	"github.com/sekisho-id/sekisho/internal/tracing"
)

// TestADeliveryIsASpanThatItsReceiverGoesOnWith: a span for each try, which names
// the receiver and the type, and not whom the event is about.
func TestADeliveryIsASpanThatItsReceiverGoesOnWith(t *testing.T) {
	t.Parallel()
	e, collector := openEngine(t), tracetest.Start(t)
	var err error
	e.Tracer, err = tracing.Open(t.Context(), tracing.Config{Collector: collector.URL, Service: "sekisho"})
	e.must(err)
	pay := newReceiver(t)
	e.stream("pay.backend", pay)
	pay.answers(http.StatusServiceUnavailable)
	e.sold(0, "teapot")
	e.tick()
	came := pay.take()
	e.Tracer.Close(t.Context())

	spans := collector.Spans()
	if len(spans) != 1 || len(came) != 1 {
		t.Fatalf("%d spans of %d tries", len(spans), len(came))
	}
	got := spans[0]
	if got.Name != "deliver pay" || !got.Failed || got.Attributes["http.response.status_code"] != "503" || got.Attributes["sekisho.event_type"] != itemSold {
		t.Errorf("got %+v", got)
	}
	if parent := came[0].header.Get("Traceparent"); parent != "00-"+got.Trace+"-"+got.ID+"-01" {
		t.Errorf("the receiver was sent %q", parent)
	}
	for _, secret := range []string{e.subject("pay", 0), "teapot"} {
		if strings.Contains(collector.Raw(), secret) {
			t.Errorf("the span holds %q", secret)
		}
	}
}
