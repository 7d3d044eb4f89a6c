package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	shownViolations  = 20      // printed in full
	enoughOperations = 100_000 // below that, no violation proves nothing
)

// report is what a run has to say.
type report struct {
	operations int      // events and deliveries that were acknowledged
	unknowns   int      // requests whose outcome the publisher never learnt
	figures    []string // of the row
	violations []string
}

func (r *report) figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

func (r *report) violation(format string, args ...any) {
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

func (r *report) print(to io.Writer, took time.Duration) {
	for _, line := range r.figures {
		fmt.Fprintln(to, " ", line)
	}
	fmt.Fprintf(to, "  operations %d, unknowns %d, violations %d, in %s\n", r.operations, r.unknowns, len(r.violations), took.Round(time.Second))
	if r.operations < enoughOperations {
		fmt.Fprintf(to, "  fewer than %d operations: enough to find a fault, not to say that there is none\n", enoughOperations)
	}
	for i, line := range r.violations {
		if i == shownViolations {
			fmt.Fprintf(to, "  … and %d more\n", len(r.violations)-i)
			break
		}
		fmt.Fprintln(to, "  VIOLATION:", line)
	}
}

// quantile is the value that a share of the values does not exceed.
func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// spread tells median, 99th percentile and maximum.
func spread(values []time.Duration) string {
	return fmt.Sprintf("median %s, p99 %s, most %s", ms(quantile(values, .5)), ms(quantile(values, .99)), ms(quantile(values, 1)))
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
