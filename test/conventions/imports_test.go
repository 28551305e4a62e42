package conventions

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imports lists the packages of the project that a package may import. Three rules are behind the table: catalog
// imports none of them, sources and outputs never import each other, and only engine, daemon and cli know several.
var imports = map[string]string{
	"cmd/isthmus": "cli",

	// Values and pure functions.
	"internal/catalog":       "",
	"internal/guard":         "catalog duration",
	"internal/mesh":          "catalog",
	"internal/mesh/meshtest": "catalog mesh",
	"internal/vip":           "mesh",
	"internal/contract":      "catalog guard mesh wait",

	// Sources.
	"internal/consul":            "catalog consul/blocking consul/client consul/detect consul/failure consul/jsonstream filewatch logonce wait",
	"internal/consul/blocking":   "consul/client consul/failure wait",
	"internal/consul/client":     "consul/jsonstream filewatch",
	"internal/consul/detect":     "catalog consul/blocking consul/client consul/failure wait",
	"internal/consul/failure":    "consul/jsonstream",
	"internal/consul/jsonstream": "",

	"internal/engine": "catalog contract guard mesh vip wait",

	// Outputs and stores.
	"internal/kube":            "contract kube/conflict kube/holdstatus kube/object logonce mesh vip wait",
	"internal/kube/conflict":   "contract kube/object mesh vip",
	"internal/kube/holdstatus": "contract guard kube/object logonce mesh wait",
	"internal/kube/object":     "mesh",
	"internal/xds":             "connlimit contract filewatch logonce mesh wait",
	"internal/dns":             "connlimit contract mesh vip",
	"internal/file":            "contract logonce mesh safefile",
	"internal/state":           "catalog contract guard logonce mesh safefile wait",
	"internal/admin":           "connlimit",

	// Assembly.
	"internal/config": "catalog duration guard mesh safefile vip",
	"internal/daemon": "admin catalog config consul contract dns engine safefile vip wait",
	"internal/cli":    "config contract daemon file guard kube kube/holdstatus mesh state xds",

	// Helpers.
	"internal/connlimit": "",
	"internal/duration":  "",
	"internal/filewatch": "",
	"internal/logonce":   "",
	"internal/safefile":  "",
	"internal/testutil":  "",
	"internal/wait":      "",
}

// testPrograms are outside the product. They import each other only.
var testPrograms = map[string]string{
	"demo":                             "test/testbed",
	"demo/student-service":             "",
	"internal/connlimit/connlimittest": "",
	"test/report":                      "",
	"test/testbed":                     "",
	"test/testbed/bench":               "test/testbed",
	"test/testbed/faults":              "test/testbed",
}

// istiodProgram is the module of isthmus-istiod. Its packages import the assembly, and each other.
var istiodProgram = map[string]string{
	"istiod":                      "",
	"istiod/cmd/isthmus-istiod":   "istiod/internal/command",
	"istiod/internal/command":     "internal/config internal/contract internal/daemon internal/state istiod/internal/configstore",
	"istiod/internal/configstore": "internal/contract internal/mesh",
}

// TestImports verifies that each package imports only the packages of its row, and that each package has a row.
func TestImports(t *testing.T) {
	found := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.pkg, "test/e2e") {
			continue
		}
		found[s.pkg] = true
		allowed, listed := allowedImports(s.pkg)
		if !listed {
			t.Errorf("%s: package %s has no row in the import table: add one", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imported, ours := strings.CutPrefix(path, modulePath)
			if ours && !slices.Contains(allowed, imported) {
				t.Errorf("%s:%d: %s may not import %s", s.path, s.line(spec.Pos()), s.pkg, imported)
			}
		}
	}
	for pkg := range imports {
		if !found[pkg] {
			t.Errorf("the import table has a row for package %s, which does not exist", pkg)
		}
	}
}

// allowedImports returns the row of a package.
func allowedImports(pkg string) (allowed []string, listed bool) {
	for _, table := range []map[string]string{testPrograms, istiodProgram} {
		if row, listed := table[pkg]; listed {
			return strings.Fields(row), true
		}
	}
	row, listed := imports[pkg]
	for _, name := range strings.Fields(row) {
		allowed = append(allowed, "internal/"+name)
	}
	return allowed, listed
}

// TestIstioStaysOutOfTheProduct verifies that the main module requires Istio's API only, not Istio itself.
func TestIstioStaysOutOfTheProduct(t *testing.T) {
	if found := regexp.MustCompile(`(?m)^.*\bistio\.io/istio\s.*$`).FindString(read(t, "go.mod")); found != "" {
		t.Errorf("go.mod requires %s: import it in test/e2e and istiod only", strings.TrimSpace(found))
	}
}

// TestDaemonWithoutKubernetesClient verifies that the assembly does not depend on client-go, neither directly nor
// through another package. A program inside istiod uses it with the client of istiod.
func TestDaemonWithoutKubernetesClient(t *testing.T) {
	command := exec.Command("go", "list", "-deps", "./internal/daemon")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(output)) {
		if path == "k8s.io/client-go" || strings.HasPrefix(path, "k8s.io/client-go/") {
			t.Errorf("internal/daemon depends on %s", path)
		}
	}
}
