package main

import "testing"

func TestNextAim(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		aim, want int64
		used      usedCPU
	}{
		"nothing was collected":       {48 * mib, 48 * mib, usedCPU{}},
		"collecting is cheap":         {48 * mib, 48 * mib, usedCPU{0.1, 10}},
		"it costs as it should":       {96 * mib, 96 * mib, usedCPU{1, 10}},
		"too little for what lives":   {48 * mib, 72 * mib, usedCPU{3, 10}},
		"still too little":            {72 * mib, 108 * mib, usedCPU{3, 10}},
		"no longer that much":         {72 * mib, 56 * mib, usedCPU{0.1, 10}},
		"never below where it begins": {56 * mib, 48 * mib, usedCPU{0.1, 10}},
	} {
		if got := nextAim(c.aim, c.used); got != c.want {
			t.Errorf("%s: %d MiB, want %d", name, got/mib, c.want/mib)
		}
	}
}
