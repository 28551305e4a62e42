package conventions

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the reference page of log messages")

// logPage is the generated page of all log messages.
const logPage = "docs/reference/logs.md"

// logKeys are the keys that a log message may have.
var logKeys = strings.Fields(`service instance host object source namespace name kind reason error hint query address addresses
	file key value services instances count since duration after limit size client version revision node datacenter replica
	output mode previous entries nodes pending expires accessor identities`)

// properNames are the first words of messages that keep their upper-case letters.
var properNames = strings.Fields("ACL ACLs API Consul DNS Istio Kubernetes xDS")

// logLevels are the methods of slog.Logger that write a message, with the position of the message.
var logLevels = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	"Log": 2,
}

// message is one log message of the product.
type message struct {
	place, pkg, level, text string
	keys                    []string
}

// messages returns the log messages of the product, sorted. It reports messages that are not constant.
func messages(t *testing.T) []message {
	t.Helper()
	var all []message
	parsed := sources(t)
	constants := stringConstants(parsed)
	for _, s := range parsed {
		if s.test() || !strings.HasPrefix(s.pkg, "internal/") && !strings.HasPrefix(s.pkg, "cmd/") {
			continue
		}
		for _, decl := range s.file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, position, ok := logCall(call)
				if !ok {
					return true
				}
				place := fmt.Sprintf("%s:%d", s.path, s.line(call.Pos()))
				text, constant := stringValue(call.Args[position], s.pkg, constants)
				if !constant {
					t.Errorf("%s: the message of a log line must be a string constant", place)
					return true
				}
				level := strings.ToLower(strings.TrimSuffix(method, "Context"))
				if method == "Log" {
					level = "varies"
				}
				keys := logAttributes(call, position, decl, s.pkg, constants)
				all = append(all, message{place: place, pkg: strings.TrimPrefix(s.pkg, "internal/"), level: level, text: text, keys: keys})
				return true
			})
		}
	}
	slices.SortFunc(all, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.text, b.text), cmp.Compare(a.level, b.level),
			cmp.Compare(strings.Join(a.keys, " "), strings.Join(b.keys, " ")))
	})
	return all
}

// logCall reports whether a call writes a log message: a method of a logger, by the names that loggers have here.
func logCall(call *ast.CallExpr) (method string, position int, ok bool) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", 0, false
	}
	position, ok = logLevels[selector.Sel.Name]
	if !ok || len(call.Args) <= position {
		return "", 0, false
	}
	var receiver string
	switch x := selector.X.(type) {
	case *ast.Ident:
		receiver = x.Name
	case *ast.SelectorExpr:
		receiver = x.Sel.Name
	}
	return selector.Sel.Name, position, slices.Contains([]string{"log", "logger", "slog"}, strings.ToLower(receiver))
}

// stringConstants returns the values of all package-level string constants by package and name.
func stringConstants(parsed []source) map[string]string {
	values := map[string]string{}
	for range 2 { // The second round finds the values of constants that refer to others.
		for _, s := range parsed {
			for _, decl := range s.file.Decls {
				general, ok := decl.(*ast.GenDecl)
				if !ok || general.Tok != token.CONST {
					continue
				}
				for _, spec := range general.Specs {
					spec := spec.(*ast.ValueSpec)
					for i, value := range spec.Values {
						if v, ok := stringValue(value, s.pkg, values); ok {
							values[s.pkg+"."+spec.Names[i].Name] = v
						}
					}
				}
			}
		}
	}
	return values
}

// stringValue returns the value of a string constant: a literal, a sum of literals, or the name of a constant.
func stringValue(e ast.Expr, pkg string, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		v, err := strconv.Unquote(e.Value)
		return v, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		x, okX := stringValue(e.X, pkg, constants)
		y, okY := stringValue(e.Y, pkg, constants)
		return x + y, e.Op == token.ADD && okX && okY
	case *ast.ParenExpr:
		return stringValue(e.X, pkg, constants)
	case *ast.Ident:
		v, ok := constants[pkg+"."+e.Name]
		return v, ok
	}
	return "", false
}

// logAttributes returns the keys of a log message. If the call passes a slice, it reads the slice's literal and all that
// the same function appends to it.
func logAttributes(call *ast.CallExpr, position int, decl ast.Decl, pkg string, constants map[string]string) []string {
	arguments := call.Args[position+1:]
	if !call.Ellipsis.IsValid() || len(arguments) == 0 {
		return keysOf(arguments, pkg, constants)
	}
	slice, ok := arguments[len(arguments)-1].(*ast.Ident)
	if !ok {
		if appended, ok := arguments[len(arguments)-1].(*ast.CallExpr); ok && len(appended.Args) > 0 {
			return keysOf(appended.Args[1:], pkg, constants)
		}
		return nil
	}
	var keys []string
	ast.Inspect(decl, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok || len(assign.Lhs) != 1 {
			return true
		}
		if left, ok := assign.Lhs[0].(*ast.Ident); !ok || left.Name != slice.Name {
			return true
		}
		switch value := assign.Rhs[0].(type) {
		case *ast.CompositeLit:
			keys = append(keys, keysOf(value.Elts, pkg, constants)...)
		case *ast.CallExpr:
			if len(value.Args) > 0 {
				keys = append(keys, keysOf(value.Args[1:], pkg, constants)...)
			}
		}
		return true
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

// keysOf returns the keys of a list of keys and values. A key that is not a constant is shown as "?".
func keysOf(arguments []ast.Expr, pkg string, constants map[string]string) []string {
	var keys []string
	for i := 0; i < len(arguments); i += 2 {
		if attribute, ok := arguments[i].(*ast.CallExpr); ok && len(attribute.Args) > 0 { // For example slog.Int("count", 1).
			key, constant := stringValue(attribute.Args[0], pkg, constants)
			if !constant {
				key = "?"
			}
			keys = append(keys, key)
			i--
			continue
		}
		key, constant := stringValue(arguments[i], pkg, constants)
		if !constant {
			key = "?"
		}
		keys = append(keys, key)
	}
	return keys
}

// TestLogMessages verifies that log messages are short constants with keys of the list.
func TestLogMessages(t *testing.T) {
	for _, m := range messages(t) {
		for _, key := range m.keys {
			if !slices.Contains(logKeys, key) {
				t.Errorf("%s: key %q of %q is not in the list logKeys", m.place, key, m.text)
			}
		}
		if first, _, _ := strings.Cut(m.text, " "); first != strings.ToLower(first) && !slices.Contains(properNames, first) {
			t.Errorf("%s: message %q must begin with a lower-case letter", m.place, m.text)
		}
		if strings.HasSuffix(m.text, ".") || strings.Contains(m.text, "%") || strings.Contains(m.text, "\n") {
			t.Errorf("%s: message %q must be one line without a full stop or a format", m.place, m.text)
		}
	}
}

// TestLogReferenceIsCurrent verifies that the page of log messages is the one that "make generate" writes.
func TestLogReferenceIsCurrent(t *testing.T) {
	var page strings.Builder
	page.WriteString("# Log messages\n\n")
	page.WriteString("Generated by `make generate`. Messages are constant: search for the text, then read the keys. " +
		"A level that varies depends on the reason.\n\n")
	page.WriteString("| package | level | message | keys |\n| --- | --- | --- | --- |\n")
	previous := ""
	for _, m := range messages(t) {
		row := fmt.Sprintf("| %s | %s | %s | %s |\n", m.pkg, m.level, strings.ReplaceAll(m.text, "|", `\|`), strings.Join(m.keys, ", "))
		if row != previous {
			page.WriteString(row)
		}
		previous = row
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, logPage), []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := diff.Diff(read(t, logPage), page.String()); d != "" {
		t.Errorf("%s is not current, run make generate (-file +code):\n%s", logPage, d)
	}
}
