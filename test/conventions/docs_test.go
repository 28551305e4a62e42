package conventions

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	span       = regexp.MustCompile("`[^`\n]+`")
	fence      = regexp.MustCompile("(?s)```.*?```")
	testName   = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)[A-Z]\w*$`)
	metricName = regexp.MustCompile(`^isthmus_[a-z0-9_]+$`)
	makeTarget = regexp.MustCompile(`^make ([a-z][a-z0-9-]*)`)
	filePath   = regexp.MustCompile(`^(internal|cmd|test|tools|demo|deploy|docs|\.ci|\.github)/[\w./*-]*$`)
	qualified  = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)(\.\w+)?(\(\))?$`)
)

// declared are the names that the code declares.
type declared struct {
	// tests has the names of test functions.
	tests map[string]bool
	// exported has names such as "guard.Guard" and "guard.Guard.Report", by the name of the package.
	exported map[string]bool
	// packages has the names of packages.
	packages map[string]bool
	// strings has all string literals.
	strings map[string]bool
}

func declarations(t *testing.T) declared {
	t.Helper()
	d := declared{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				d.strings[strings.Trim(literal.Value, "\"`")] = true
			}
			return true
		})
		pkg := s.file.Name.Name
		if !s.test() && pkg != "main" {
			d.packages[pkg] = true
		}
		for _, decl := range s.file.Decls {
			d.add(pkg, decl, s.test())
		}
	}
	return d
}

// add records the names of one declaration.
func (d declared) add(pkg string, decl ast.Decl, test bool) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if test && decl.Recv == nil {
			d.tests[decl.Name.Name] = true
		}
		name := pkg + "." + decl.Name.Name
		if decl.Recv != nil {
			name = pkg + "." + receiver(decl.Recv.List[0].Type) + "." + decl.Name.Name
		}
		d.exported[name] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					d.exported[pkg+"."+name.Name] = true
				}
			case *ast.TypeSpec:
				d.exported[pkg+"."+spec.Name.Name] = true
				d.addMembers(pkg+"."+spec.Name.Name, spec.Type)
			}
		}
	}
}

// addMembers records the fields of a struct and the methods of an interface.
func (d declared) addMembers(name string, typ ast.Expr) {
	var members *ast.FieldList
	switch typ := typ.(type) {
	case *ast.StructType:
		members = typ.Fields
	case *ast.InterfaceType:
		members = typ.Methods
	default:
		return
	}
	for _, member := range members.List {
		for _, memberName := range member.Names {
			d.exported[name+"."+memberName.Name] = true
		}
	}
}

// receiver returns the name of a receiver's type, without pointer and type parameters.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestNamesInDocumentsExist verifies that tests, metrics, make targets, files and exported names exist that a document
// names.
func TestNamesInDocumentsExist(t *testing.T) {
	code := declarations(t)
	makefile := read(t, "Makefile")
	for _, path := range files(t, ".md") {
		if path == "CHANGELOG.md" {
			continue
		}
		content := fence.ReplaceAllStringFunc(read(t, path), func(s string) string { return strings.Repeat("\n", strings.Count(s, "\n")) })
		for i, line := range strings.Split(content, "\n") {
			for _, name := range span.FindAllString(line, -1) {
				if problem := code.check(strings.Trim(name, "`"), makefile); problem != "" {
					t.Errorf("%s:%d: %s", path, i+1, problem)
				}
			}
		}
	}
}

// composed reports whether a metric is composed of the literals "isthmus_", the name of a server and "_SUFFIX".
func (d declared) composed(metric string) bool {
	for suffix := range d.strings {
		server, found := strings.CutSuffix(strings.TrimPrefix(metric, "isthmus_"), suffix)
		if found && strings.HasPrefix(suffix, "_") && d.strings[server] {
			return true
		}
	}
	return false
}

// check returns the problem with one name of a document, or nothing.
func (d declared) check(name, makefile string) string {
	switch {
	case testName.MatchString(name):
		if !d.tests[name] {
			return fmt.Sprintf("test %s does not exist", name)
		}
	case metricName.MatchString(name):
		if !d.metric(name) && !d.metric(histogram.ReplaceAllString(name, "")) {
			return fmt.Sprintf("metric %s does not exist", name)
		}
	case makeTarget.MatchString(name):
		target := makeTarget.FindStringSubmatch(name)[1]
		if !strings.Contains("\n"+makefile, "\n"+target+":") {
			return fmt.Sprintf("Makefile has no target %s", target)
		}
	case filePath.MatchString(name):
		// NAME is a placeholder in a path of the text.
		if found, err := filepath.Glob(filepath.Join(root, strings.ReplaceAll(name, "NAME", "*"))); err != nil || len(found) == 0 {
			return fmt.Sprintf("file %s does not exist", name)
		}
	case qualified.MatchString(name):
		parts := qualified.FindStringSubmatch(name)
		if d.packages[parts[1]] && !d.exported[parts[1]+"."+parts[2]+parts[3]] {
			return fmt.Sprintf("%s does not exist", name)
		}
	}
	return ""
}

// metric reports whether the code has the name of a metric, as one string or composed.
func (d declared) metric(name string) bool { return d.strings[name] || d.composed(name) }

// histogram matches the suffixes that Prometheus adds to the name of a histogram.
var histogram = regexp.MustCompile(`_(bucket|sum|count)$`)

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// TestLinksInDocumentsExist verifies that links between files of the repository lead to a file.
func TestLinksInDocumentsExist(t *testing.T) {
	for _, path := range files(t, ".md") {
		for i, line := range strings.Split(fence.ReplaceAllString(read(t, path), ""), "\n") {
			for _, match := range link.FindAllStringSubmatch(line, -1) {
				if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
					continue
				}
				if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), match[1])); err != nil {
					t.Errorf("%s:%d: link to %s: %v", path, i+1, match[1], err)
				}
			}
		}
	}
}
