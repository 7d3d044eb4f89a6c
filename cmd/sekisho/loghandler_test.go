package main

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// FuzzLineHandler holds each line equal to that of slog.JSONHandler, whatever
// is in it.
func FuzzLineHandler(f *testing.F) {
	for _, s := range []string{"", "plain", "<a>&", `"\`, "\x00\x1f\x1b[31m\r\n\x7f", "é\u2028", "\xff"} {
		f.Add(s, "a text", int64(0), int64(1.8e18))
		f.Add("key", s, int64(-1), int64(0))
	}
	f.Fuzz(func(t *testing.T, key, text string, n, at int64) {
		for _, attrs := range [][]slog.Attr{
			nil,
			{slog.String(key, text), slog.Int64("n", n), slog.Bool("yes", n > 0)},
			{slog.String("text", text), slog.Any(text, n), slog.Int(key, int(n))},
			{slog.Any("any", []string{text}), slog.String(key, text)},
			{slog.String(key, text), slog.Any("cause", errors.New(text)), slog.Duration("took", time.Duration(n)), slog.Time("at", time.Unix(0, at))},
			{slog.Group(key, slog.String("inside", text)), {}, slog.Float64("float", float64(n)), slog.Uint64("u", uint64(n))},
		} {
			for _, message := range []string{"request", text} {
				for _, moment := range []time.Time{time.Unix(0, at), time.Unix(0, at).UTC(), {}} {
					record := slog.NewRecord(moment, slog.Level(n%10), message, 0)
					record.AddAttrs(attrs...)
					sameLine(t, record)
				}
			}
		}
	})
}

// sameLine compares both handlers, bare and with attributes before.
func sameLine(t *testing.T, record slog.Record) {
	t.Helper()
	var want, got bytes.Buffer
	lines := &logBuffer{to: &got}
	plain := slog.Handler(slog.NewJSONHandler(&want, nil))
	fast := logging{LogFormat: "json"}.logger(lines).Handler()
	before := []slog.Attr{slog.String("before", "<&>")}
	for range 2 {
		if err := errors.Join(plain.Handle(t.Context(), record), fast.Handle(t.Context(), record), lines.Flush()); err != nil {
			t.Fatal(err)
		}
		plain, fast = plain.WithAttrs(before).WithGroup("group"), fast.WithAttrs(before).WithGroup("group")
	}
	if got.String() != want.String() {
		t.Errorf("%s\nnot\n%s", got.String(), want.String())
	}
}
