package jsonstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

// read returns the names of a list and the digests of their tags.
func read(list string) (map[string]uint64, error) {
	names := map[string]uint64{}
	err := jsonstream.Names(strings.NewReader(list), func(name []byte, tags uint64) { names[string(name)] = tags })
	return names, err
}

// TestNames verifies that the names are those of encoding/json, in each notation.
func TestNames(t *testing.T) {
	for _, list := range []string{
		`{}`, " {\n\t} ", `{"web": []}`, `{"web": null,"api":["v1"]}`, "{\n    \"web\": [\n        \"a\",\n        \"b\"\n    ]\n}",
		`{"W\u0065b \"x\"\\": ["\"]}", "\\"], "日本": ["ü"], "": []}`, `{"odd": {"a": [1, "}"]}, "web": [{"x": "]"}, [], 1.5, true]}`,
		`{"web": ["` + strings.Repeat(`x\"`, 100_000) + `"], "` + strings.Repeat("n", 1000) + `": ["a"]}`,
		"{\"\xff\": []}",
	} {
		var want map[string]any
		if err := json.Unmarshal([]byte(list), &want); err != nil {
			t.Fatal(err)
		}
		got, err := read(list)
		if err != nil || len(got) != len(want) {
			t.Errorf("%.80s: got %d names, %v; want %d", list, len(got), err, len(want))
		}
		for name := range want {
			if _, ok := got[name]; !ok {
				t.Errorf("%.80s: name %.80q is missing", list, name)
			}
		}
	}
}

// TestDigest verifies that the digest changes with each tag, and not with their order or with white space.
func TestDigest(t *testing.T) {
	digest := func(tags string) uint64 {
		names, err := read(`{"web": ` + tags + `}`)
		if err != nil {
			t.Fatal(err)
		}
		return names["web"]
	}
	if digest(`["a","b","c"]`) != digest("[ \"c\",\n\"a\" , \"b\" ]") {
		t.Error("the order of the tags changes the digest")
	}
	seen := map[uint64]string{}
	for _, tags := range []string{`[]`, `["a"]`, `["b"]`, `["a","b"]`, `["ab"]`, `["a","a"]`, `["a,b"]`, `["a\",\"b"]`, `[""]`, `["",""]`, `["[a]"]`} {
		if other, ok := seen[digest(tags)]; ok {
			t.Errorf("%s has the digest of %s", tags, other)
		}
		seen[digest(tags)] = tags
	}
}

// TestInvalidNames verifies that a list that is cut off or no list is an error: it must not look like a shorter list.
func TestInvalidNames(t *testing.T) {
	const list = `{"web": ["a", "b\\"], "api": []}`
	for end := range len(list) {
		if _, err := read(list[:end]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %v", list[:end], err)
		}
	}
	for _, list := range []string{
		`[]`, `null`, `"web"`, `{"a" []}`, `{"a": [] "b": []}`, `{"a": ["x" "y"]}`, `{a: []}`, `{"a": [}`, `{"a": ]}`, `{"a"}`, `{,}`, `{"a": }`, `{"a": [,]}`, `{"a": [],}`, `{"a\x": []}`,
		`{"a": ` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
	} {
		if names, err := read(list); err == nil {
			t.Errorf("%.40s: accepted, with the names %v", list, names)
		}
	}
}

// TestMemoryOfNames verifies that neither huge tags nor huge names are kept in memory.
func TestMemoryOfNames(t *testing.T) {
	const mega = 1 << 20
	list := func() io.Reader {
		parts := []io.Reader{strings.NewReader(`{"small": ["a"], "evil": ["`)}
		chunk := strings.Repeat("x", mega)
		for range 200 {
			parts = append(parts, strings.NewReader(chunk))
		}
		parts = append(parts, strings.NewReader(`", "`), strings.NewReader(strings.Repeat(`","`, mega)), strings.NewReader(`"], "`))
		for range 20 {
			parts = append(parts, strings.NewReader(chunk))
		}
		return io.MultiReader(append(parts, strings.NewReader(`": [], "last": []}`))...)
	}
	var before, after runtime.MemStats
	body := list()
	runtime.ReadMemStats(&before)
	var names []string
	err := jsonstream.Names(body, func(name []byte, _ uint64) { names = append(names, fmt.Sprint(name == nil, string(name))) })
	runtime.ReadMemStats(&after)
	if want := []string{"falsesmall", "falseevil", "true", "falselast"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v", names, err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > mega {
		t.Errorf("%d bytes were allocated for a list of 220 MiB", allocated)
	}
}

// FuzzNames verifies that each accepted list has the names of encoding/json.
func FuzzNames(f *testing.F) {
	f.Add([]byte(`{"web": ["a", "b\\"], "api": [], "x\u00e9": null}`))
	f.Fuzz(func(t *testing.T, list []byte) {
		var want map[string][]string
		if json.Unmarshal(list, &want) != nil || want == nil {
			return
		}
		got, err := read(string(list))
		if err != nil {
			t.Fatalf("%q: %v", list, err)
		}
		for name := range want {
			if _, ok := got[name]; !ok && len(name) < jsonstream.MaxName {
				t.Fatalf("%q: name %q is missing", list, name)
			}
		}
	})
}
