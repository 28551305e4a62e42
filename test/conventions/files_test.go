package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the repository.
const root = "../.."

// modulePath is the path of the main module.
const modulePath = "github.com/isthmus-mesh/isthmus/"

// files returns the paths of files with one of the suffixes, relative to the root. It leaves out hidden folders, test
// data and this package.
func files(t *testing.T, suffixes ...string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") && name != ".ci" && name != ".github" || name == "testdata" || name == "conventions") {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			paths = append(paths, filepath.ToSlash(relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// read returns the content of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// source is one parsed Go file.
type source struct {
	// path is relative to the root.
	path string
	// pkg is the folder of the file.
	pkg  string
	file *ast.File
	fset *token.FileSet
}

// test reports whether the file belongs to the tests of its package.
func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// line returns the line of a position.
func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// sources parses all Go files.
func sources(t *testing.T) []source {
	t.Helper()
	fset := token.NewFileSet()
	var all []source
	for _, path := range files(t, ".go") {
		file, err := parser.ParseFile(fset, filepath.Join(root, path), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{path: path, pkg: filepath.ToSlash(filepath.Dir(path)), file: file, fset: fset})
	}
	return all
}
