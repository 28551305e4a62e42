package conventions

import (
	"bufio"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxVagueWords is the number of vague words in 1,000 words that a kind of text may have.
const maxVagueWords = 3.0

// vague are words that hide the subject of a sentence.
var vague = regexp.MustCompile(`(?i)\b(what|who|whose|whoever|whatever|somebody|anybody|nobody)\b`)

var (
	word = regexp.MustCompile(`[A-Za-z']{2,}`)
	code = regexp.MustCompile("(?s)```.*?```|`[^`]*`")
)

// text is a piece of prose, at a place of a file.
type text struct {
	path, content string
}

// prose returns all comments, all strings that a user of the product may read, and all documents.
func prose(t *testing.T) map[string][]text {
	t.Helper()
	all := map[string][]text{}
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if !strings.HasPrefix(comment.Text, "//go:") {
					all["comments"] = append(all["comments"], text{s.path, comment.Text})
				}
			}
		}
		if s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && strings.Count(literal.Value, " ") >= 2 {
				all["strings"] = append(all["strings"], text{s.path, literal.Value})
			}
			return true
		})
	}
	for _, path := range files(t, ".md") {
		all["documents"] = append(all["documents"], text{path, code.ReplaceAllString(read(t, path), "")})
	}
	return all
}

// TestPlainWords verifies that comments, strings and documents name their subjects: vague words are rare.
func TestPlainWords(t *testing.T) {
	for kind, texts := range prose(t) {
		var words, vagueWords int
		places := map[string]int{}
		for _, piece := range texts {
			words += len(word.FindAllString(piece.content, -1))
			if n := len(vague.FindAllString(piece.content, -1)); n > 0 {
				vagueWords += n
				places[piece.path] += n
			}
		}
		rate := 1000 * float64(vagueWords) / float64(max(words, 1))
		t.Logf("%s: %.2f vague words per 1,000 (%d of %d)", kind, rate, vagueWords, words)
		if rate > maxVagueWords {
			t.Errorf("%s have %.2f vague words (%s) per 1,000, at most %.0f are allowed; most are in %s",
				kind, rate, vague, maxVagueWords, most(places))
		}
	}
}

// most returns the five places with the highest counts.
func most(places map[string]int) string {
	paths := slices.SortedFunc(maps.Keys(places), func(a, b string) int {
		return cmp.Or(cmp.Compare(places[b], places[a]), cmp.Compare(a, b))
	})
	var named []string
	for _, path := range paths[:min(5, len(paths))] {
		named = append(named, fmt.Sprintf("%s (%d)", path, places[path]))
	}
	return strings.Join(named, ", ")
}

// retirement is a line of retired.txt.
type retirement struct {
	// replacement is the word to write.
	replacement string
	// except are the prefixes of paths where the word has another, standard meaning.
	except []string
}

// retired reads retired.txt.
func retired(t *testing.T) map[string]retirement {
	t.Helper()
	words := map[string]retirement{}
	lines := bufio.NewScanner(strings.NewReader(read(t, "test/conventions/retired.txt")))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) < 2 || len(columns) > 3 {
			t.Fatalf("retired.txt: %q must have two or three columns", line)
		}
		r := retirement{replacement: columns[1]}
		if len(columns) == 3 {
			r.except = strings.Split(columns[2], ",")
		}
		words[columns[0]] = r
	}
	return words
}

var (
	letters = regexp.MustCompile(`[A-Za-z]+`)
	humps   = regexp.MustCompile(`[A-Z]+(?:[^a-z]|$)|[A-Z]?[a-z]+|[A-Z]+`)
)

// TestRetiredWords verifies that words with a standard replacement do not come back, neither in prose nor as a part of
// an identifier or of a file's name.
func TestRetiredWords(t *testing.T) {
	words := retired(t)
	check := func(path string, line int, content string) {
		for _, run := range letters.FindAllString(content, -1) {
			for _, part := range append(humps.FindAllString(run, -1), run) {
				r, found := words[strings.ToLower(part)]
				if found && !slices.ContainsFunc(r.except, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
					t.Errorf("%s:%d: %q is retired: write %s", path, line, run, r.replacement)
					break
				}
			}
		}
	}
	for _, path := range files(t, ".go", ".md", ".yaml", ".sh", "Makefile", "run") {
		check(path, 0, path)
		if path == "CHANGELOG.md" || strings.HasPrefix(path, "docs/decisions/") {
			continue // They may name the words of the past.
		}
		for i, line := range strings.Split(read(t, path), "\n") {
			check(path, i+1, line)
		}
	}
}
