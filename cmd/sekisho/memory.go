package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// Two megabytes live, so the default of 100 would collect every two hundred
	// requests.
	gcPercent = 220
	// One password hash makes 19 MiB of garbage, and the collector by itself would
	// let a heap several times that grow.
	memoryAim    = 48 << 20
	memoryStep   = 16 << 20
	costlyGC     = 0.25 // of the CPU that is used: then the aim is too low for what lives
	cheapGC      = 0.05
	memoryChecks = 5 * time.Second
)

// spendMemory has the garbage collector run less often than by default, and keeps
// the process small nevertheless. GOGC and GOMEMLIMIT, where set, decide. What it
// gives ends it.
func spendMemory(ctx context.Context) (stop func()) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { aimAtMemory(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// aimAtMemory keeps a limit that gives way: one that stays while more than it
// lives would have the process collect garbage and do nothing else.
func aimAtMemory(ctx context.Context) {
	aim, before := int64(memoryAim), readUsedCPU()
	debug.SetMemoryLimit(aim)
	ticker := time.NewTicker(memoryChecks)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := readUsedCPU()
		if next := nextAim(aim, now.since(before)); next != aim {
			aim = next
			debug.SetMemoryLimit(aim)
		}
		before = now
	}
}

// usedCPU is what the process has used so far, in seconds of CPU.
type usedCPU struct{ gc, all float64 }

func (u usedCPU) since(before usedCPU) usedCPU { return usedCPU{u.gc - before.gc, u.all - before.all} }

// readUsedCPU reads what the runtime estimates at each collection.
func readUsedCPU() usedCPU {
	samples := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/cpu/classes/idle:cpu-seconds"},
	}
	metrics.Read(samples)
	return usedCPU{gc: samples[0].Value.Float64(), all: samples[1].Value.Float64() - samples[2].Value.Float64()}
}

// nextAim is the limit for the time to come, after what the last moments cost.
func nextAim(aim int64, used usedCPU) int64 {
	switch {
	case used.all <= 0: // nothing was collected since
		return aim
	case used.gc/used.all > costlyGC:
		return aim + max(memoryStep, aim/2)
	case used.gc/used.all < cheapGC:
		return max(memoryAim, aim-memoryStep)
	}
	return aim
}
