package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// special creates one file of each kind that must be refused.
func special(t *testing.T, folder string) []string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "target"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		syscall.Mkfifo(filepath.Join(folder, "fifo"), 0o600),
		os.Mkdir(filepath.Join(folder, "folder"), 0o700),
		os.Symlink("target", filepath.Join(folder, "link")),
		os.Symlink("/dev/zero", filepath.Join(folder, "zero")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return []string{"fifo", "folder", "link", "zero"}
}

// TestOpenRefusesSpecialFiles verifies that special files are an error and never block.
func TestOpenRefusesSpecialFiles(t *testing.T) {
	folder := t.TempDir()
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range special(t, folder) {
		if _, _, err := OpenIn(root, name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("OpenIn %s: %v", name, err)
		}
		if _, _, err := Open(filepath.Join(folder, name)); !errors.Is(err, ErrNotRegular) && name != "link" {
			t.Errorf("Open %s: %v", name, err)
		}
	}
}

func TestReadHasALimit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content, _, err := Read(name, 5); err != nil || string(content) != "12345" {
		t.Errorf("%q, %v", content, err)
	}
	if _, _, err := Read(name, 4); err == nil {
		t.Error("a larger file was read")
	}
}

// TestReplace verifies that the content, the mode and nothing else in the folder changes.
func TestReplace(t *testing.T) {
	folder := t.TempDir()
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, content := range []string{"first", "second"} {
		if err := Replace(root, "file", []byte(content), Options{Mode: 0o600, Sync: true}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(folder, "file"))
		if err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(root, "taken", []byte("x"), Options{Mode: 0o600}); err == nil {
		t.Error("a folder was replaced")
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if !IsTemporary(".isthmus-ABC.tmp") || IsTemporary("web.dc1.yaml") {
		t.Error("temporary files are not recognized")
	}
}
