package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// profileSeconds is the length of one part of a profile. The last part is lost when isthmus stops.
const profileSeconds = 5

// profile saves profiles of isthmus if BENCH_PROFILE is the path of a folder: CPU profiles in parts, and the
// allocations after each of them. "go tool pprof" adds up all files that it is given.
func (b *bed) profile(t *testing.T) {
	t.Helper()
	folder := os.Getenv("BENCH_PROFILE")
	if folder == "" {
		return
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.owner.Context())
	b.starts++
	daemon, start, done := b.isthmus, b.starts, make(chan struct{})
	go func() {
		defer close(done)
		if err := testbed.Poll(ctx, benchTimeout, func(ctx context.Context) error { return fetch(ctx, daemon.Admin+"/healthz", "") }); err != nil {
			return
		}
		for n := 0; ctx.Err() == nil; n++ {
			name := fmt.Sprintf("%s-%d-%03d", strings.ReplaceAll(b.owner.Name(), "/", "-"), start, n)
			for page, kind := range map[string]string{fmt.Sprint("profile?seconds=", profileSeconds): "cpu", "allocs": "allocs"} {
				if err := fetch(ctx, daemon.Admin+"/debug/pprof/"+page, filepath.Join(folder, name+"."+kind+".pprof")); err != nil {
					return // isthmus has stopped
				}
			}
		}
	}()
	b.owner.Cleanup(func() { cancel(); <-done })
}

// fetch saves a page to a file, if the file has a name.
func fetch(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	if err != nil || file == "" {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}
