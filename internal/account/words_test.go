package account_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ccojocar/zxcvbn-go/frequency"

	"github.com/sekisho-id/sekisho/internal/account"
)

var update = flag.Bool("update", false, "make words.gz anew")

// The words are those of the lists that the oracle ships, each with its best rank.
func TestPackedWords(t *testing.T) {
	t.Parallel()
	want := wordsOfOracle()
	if *update {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("words.gz", packed.Bytes(), 0o644); err != nil { //nolint:gosec // a file of the source
			t.Fatal(err)
		}
		t.Logf("words.gz is made anew: %d bytes", packed.Len())
		return
	}
	r, err := gzip.NewReader(bytes.NewReader(account.PackedWords))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("words.gz is not made of the lists of this version of zxcvbn-go: run this test with -update")
	}
}

// wordsOfOracle writes the words in groups whose ranks differ by a tenth at most,
// each with the rank in the middle. Sorted within their groups the words take
// fewer bytes.
func wordsOfOracle() []byte {
	ranks := map[string]int{}
	for _, list := range frequency.Lists {
		for i, word := range list.List {
			word = strings.ToLower(word)
			if rank, ok := ranks[word]; !ok || i+1 < rank {
				ranks[word] = i + 1
			}
		}
	}
	groups := map[int][]string{}
	for word, rank := range ranks {
		group := int(math.Log(float64(rank)) / math.Log(1.1))
		groups[group] = append(groups[group], word)
	}
	var text bytes.Buffer
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		words := groups[group]
		slices.SortFunc(words, func(a, b string) int { return cmp.Compare(ranks[a], ranks[b]) })
		middle := ranks[words[len(words)/2]]
		slices.Sort(words)
		fmt.Fprintf(&text, "%d\n%s\n\n", middle, strings.Join(words, "\n"))
	}
	return text.Bytes()
}
