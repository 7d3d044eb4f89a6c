package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// What F19 promises, of the time after the warm-up.
const (
	slopePromise  = 5.0  // MiB an hour that the process may grow, with 95 % certainty
	steadyPromise = 0.05 // by which goroutines and file descriptors may change
	latePromise   = 1.2  // p99 of the last part to that of the first
	sizePromise   = 80.0 // MiB resident at most
)

// sample is what a process has at one moment.
type sample struct {
	at         time.Duration
	resident   float64 // MiB
	goroutines float64
	files      float64
}

// soak is F19: an hour of load, with people that come and go, and 200 subsystems.
func soak(l *lab) error {
	warm, long, every := 15*time.Minute, 60*time.Minute, 10*time.Second
	scale := flowScale{walkers: 200, rate: 100, signIns: 5, backends: 197, away: true}
	if l.options.short {
		warm, long, every = 30*time.Second, time.Minute, time.Second
	}
	l.openPostgres()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(warm); err != nil {
		return err
	}
	first := f.Journal.Len()
	began := l.since()
	var samples []sample
	for l.since() < began+long {
		if err := l.pause(every); err != nil {
			return err
		}
		s, err := l.sample(l.servers[0])
		if err != nil {
			return err
		}
		samples = append(samples, s)
	}
	ended := l.since()
	records := f.Journal.Since(first)
	if err := f.finish(); err != nil {
		return err
	}
	part := long / 6
	var early, late []time.Duration
	for _, r := range records {
		switch {
		case r.Start < began+part:
			early = append(early, r.End-r.Start)
		case r.Start > ended-part:
			late = append(late, r.End-r.Start)
		}
	}
	l.judgeSoak(samples, early, late)
	return nil
}

func (l *lab) judgeSoak(samples []sample, early, late []time.Duration) {
	slope, bound := regression(samples)
	most := 0.0
	for _, s := range samples {
		most = max(most, s.resident)
	}
	part := len(samples) / 6
	changes := map[string]float64{
		"goroutines":       mean(samples[len(samples)-part:], func(s sample) float64 { return s.goroutines }) / mean(samples[:part], func(s sample) float64 { return s.goroutines }),
		"file descriptors": mean(samples[len(samples)-part:], func(s sample) float64 { return s.files }) / mean(samples[:part], func(s sample) float64 { return s.files }),
	}
	if !l.options.short { // a minute says nothing of an hour
		if slope+bound > slopePromise {
			l.report.violation("the process grows by %.2f ± %.2f MiB an hour", slope, bound)
		}
		for what, change := range changes {
			if math.Abs(change-1) > steadyPromise {
				l.report.violation("%s change by a factor of %.2f", what, change)
			}
		}
		if before, after := quantile(early, .99), quantile(late, .99); float64(after) > latePromise*float64(before) {
			l.report.violation("p99 was %s and is %s", ms(before), ms(after))
		}
	}
	if most > sizePromise {
		l.report.violation("%.1f MiB resident", most)
	}
	l.report.figure("resident: from %.1f to %.1f MiB, most %.1f; slope %.2f ± %.2f MiB an hour", samples[0].resident, samples[len(samples)-1].resident, most, slope, bound)
	l.report.figure("goroutines × %.3f, file descriptors × %.3f", changes["goroutines"], changes["file descriptors"])
	l.report.figure("first sixth: %s; last sixth: %s", spread(early), spread(late))
}

// sample looks at a process.
func (l *lab) sample(s *server) (sample, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	files, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	goroutines, err3 := s.gauge(l.ctx, "go_goroutines")
	if err := errors.Join(err, err2, err3); err != nil {
		return sample{}, err
	}
	found := sample{at: l.since(), goroutines: goroutines, files: float64(len(files))}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				return sample{}, err
			}
			found.resident = kilobytes / 1024
		}
	}
	return found, nil
}

// regression fits a line through what is resident: MiB an hour, and how far it may
// be off with 95 % certainty.
func regression(samples []sample) (slope, bound float64) {
	n := float64(len(samples))
	x, y := mean(samples, func(s sample) float64 { return s.at.Hours() }), mean(samples, func(s sample) float64 { return s.resident })
	var xx, xy float64
	for _, s := range samples {
		xx += (s.at.Hours() - x) * (s.at.Hours() - x)
		xy += (s.at.Hours() - x) * (s.resident - y)
	}
	slope = xy / xx
	var rest float64
	for _, s := range samples {
		off := s.resident - y - slope*(s.at.Hours()-x)
		rest += off * off
	}
	return slope, 1.96 * math.Sqrt(rest/(n-2)/xx)
}

func mean(samples []sample, of func(sample) float64) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += of(s)
	}
	return sum / float64(len(samples))
}
