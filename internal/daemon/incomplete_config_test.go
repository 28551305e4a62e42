package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

const manyEntries = `sources: [{services: {exclude: ["a*", "b*", "c*"]}}]
mesh: {health: passing, exportTo: ["."], namespaceChoices: [blue]}
log: {level: debug}
`

// TestIncompleteFile verifies for each way of writing a file whether its loss of entries is applied.
func TestIncompleteFile(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string
		replaced      bool
		complete      bool
	}{
		"empty":                            {before: manyEntries, after: ""},
		"first line":                       {before: manyEntries, after: manyEntries[:20] + "a]}}]\n"},
		"comments only":                    {before: manyEntries, after: "# " + manyEntries[:10]},
		"few entries":                      {before: manyEntries, after: "log: {level: debug}\n"},
		"few entries, replaced":            {before: manyEntries, after: "log: {level: debug}\n", replaced: true, complete: true},
		"few entries, end marker":          {before: manyEntries, after: "log: {level: debug}\n...\n", complete: true},
		"empty, end marker":                {before: manyEntries, after: "...\n", complete: true},
		"most entries":                     {before: manyEntries, after: "mesh: {health: passing, exportTo: [\".\"], namespaceChoices: [blue, green]}\n", complete: true},
		"marker missing":                   {before: manyEntries + "...\n", after: manyEntries},
		"marker missing, replaced":         {before: manyEntries + "...\n", after: manyEntries, replaced: true, complete: true},
		"marker in a text":                 {before: manyEntries, after: "log: {level: info...\n"},
		"one entry of one":                 {before: "log: {level: debug}", after: "log: {level: info}", complete: true},
		"nothing before":                   {before: "", after: "log: {level: info}", complete: true},
		"nothing before and nothing after": {before: "# a", after: "# b", complete: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkComplete([]byte(test.before), []byte(test.after), test.replaced)
			if (err == nil) != test.complete {
				t.Errorf("error %v, complete %v", err, test.complete)
			}
		})
	}
}

// TestReloadOfAnIncompleteFile verifies that a file that loses most of its entries changes nothing until there is a sign
// that the loss is intended.
func TestReloadOfAnIncompleteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	writeFile(t, path, manyEntries)
	r := newReloadTest(t, path)
	rejected := line(slog.LevelError, MsgConfigRejected, path)
	few := "log: {level: debug}\n"
	writeFile(t, path, few)
	r.expect("written in place", nil, rejected)
	writeFile(t, path, "")
	r.expect("empty", nil, rejected)
	writeFile(t, path, few)
	r.expect("written in place again", nil, rejected)
	writeFile(t, path+".next", few)
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
	lost := [][]string{{"sources[0].services.exclude", "mesh.health", "mesh.exportTo", "mesh.namespaceChoices"}}
	r.expect("replaced with the same content", lost, line(slog.LevelInfo, MsgReloaded, path)+"entries=")
	writeFile(t, path, manyEntries)
	r.expect("written again", lost, line(slog.LevelInfo, MsgReloaded, path)+"entries=")
	writeFile(t, path, few+"...\n")
	r.expect("with the end marker", lost, line(slog.LevelInfo, MsgReloaded, path)+"entries=")
	writeFile(t, path, few)
	r.expect("without the end marker", nil, rejected)
}

// TestReloadOfAReplacedFile verifies that another file with the same content is no change.
func TestReloadOfAReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	writeFile(t, path, manyEntries)
	r := newReloadTest(t, path)
	writeFile(t, path+".next", manyEntries)
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
	r.expect("replaced", nil)
	writeFile(t, path, "")
	r.expect("emptied", nil, line(slog.LevelError, MsgConfigRejected, path))
}

// TestReloadRefusesSpecialFiles verifies that a special or huge file in the place of the configuration is rejected, and
// neither blocks the process nor fills its memory.
func TestReloadRefusesSpecialFiles(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"FIFO":                func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link to a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"directory":           func(path string) error { return os.Mkdir(path, 0o700) },
		"larger than allowed": func(path string) error { return os.WriteFile(path, make([]byte, config.MaxFileSize+1), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "isthmus.yaml")
			writeFile(t, path, manyEntries)
			r := newReloadTest(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := create(path); err != nil {
				t.Fatal(err)
			}
			r.expect("special", nil, line(slog.LevelError, MsgConfigRejected, path))
		})
	}
}
