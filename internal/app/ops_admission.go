package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sekisho-id/sekisho/internal/web"
)

// admissionFigures tell how much there is to do at each scrape.
type admissionFigures struct{ admission *web.Admission }

var (
	underWay = prometheus.NewDesc("sekisho_http_requests_under_way", "Requests under way, but for those that wait on purpose.", nil, nil)
	shed     = prometheus.NewDesc("sekisho_http_requests_shed_total", "Requests refused because too many were under way, by urgency: sign-up, sign-in, token, check.", []string{"urgency"}, nil)
)

func (admissionFigures) Describe(to chan<- *prometheus.Desc) {
	to <- underWay
	to <- shed
}

func (a admissionFigures) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(underWay, prometheus.GaugeValue, float64(a.admission.UnderWay()))
	for urgency, n := range a.admission.Refused() {
		to <- prometheus.MustNewConstMetric(shed, prometheus.CounterValue, float64(n), urgency)
	}
}
