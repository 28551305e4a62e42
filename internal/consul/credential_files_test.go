package consul

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"

	"github.com/hashicorp/consul/api"
)

// mounted is a directory like a mounted Kubernetes secret: each file is a link into a link that is swapped.
type mounted struct {
	t    *testing.T
	dir  string
	next int
}

func newMounted(t *testing.T, files map[string]string) *mounted {
	m := &mounted{t: t, dir: t.TempDir()}
	m.swap(files)
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), m.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *mounted) path(name string) string { return filepath.Join(m.dir, name) }

// swap replaces all contents at once.
func (m *mounted) swap(files map[string]string) {
	m.t.Helper()
	m.next++
	dir := "..version" + string(rune('a'+m.next))
	if err := os.Mkdir(m.path(dir), 0o755); err != nil {
		m.t.Fatal(err)
	}
	for name, content := range files {
		write(m.t, filepath.Join(m.dir, dir, name), content)
	}
	if err := os.Symlink(dir, m.path("..new")); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(m.path("..new"), m.path("..data")); err != nil {
		m.t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	m := newMounted(t, map[string]string{"token": "one\n"})
	c, err := client.New(client.Options{Config: &api.Config{TokenFile: m.path("token")}, MaxBytes: client.DefaultMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	creds := c.Credentials
	look := func(want string, wantChange bool) {
		t.Helper()
		before := creds.Version()
		changed, err, _ := creds.Poll()
		after := creds.Version()
		if err != nil || creds.Token() != want || (len(changed) != 0) != wantChange || (after != before) != wantChange {
			t.Errorf("got the token %q, expected %q; editions %d and %d, changed %q: %v", creds.Token(), want, before, after, changed, err)
		}
	}
	look("one", false)
	m.swap(map[string]string{"token": "two"})
	look("two", true)
	look("two", false)
	m.swap(map[string]string{"token": " two\n"}) // the same token
	look("two", false)
	write(t, m.path("token"), "six") // the same length, and perhaps the same modification time
	look("six", true)
	if hidden := strings.Join(creds.Secrets(), " "); hidden != "one two six" {
		t.Errorf("got the hidden tokens %q", hidden)
	}
}

func TestTokenFilesThatCannotBe(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "")
	for content, want := range map[string]string{
		"": "is empty", " \n": "is empty", "secret with blanks": "does not contain a token", "secret\x00": "does not contain a token", "secrét": "does not contain a token",
	} {
		file := filepath.Join(t.TempDir(), "token")
		write(t, file, content)
		_, err := New(Options{Name: "x", Config: &api.Config{TokenFile: file}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, expected %q", content, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secr") {
			t.Errorf("%q: the error contains the token: %v", content, err)
		}
	}
}
