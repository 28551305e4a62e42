package testbed

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
)

// ConsulVersion is the major and the minor number of a version of Consul.
type ConsulVersion struct{ Major, Minor int }

// String returns the version in the form of the folders in tools, for example 1.22.
func (v ConsulVersion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before reports whether the version is older than another one.
func (v ConsulVersion) Before(other ConsulVersion) bool {
	return v.Major < other.Major || v.Major == other.Major && v.Minor < other.Minor
}

// The versions in which features came. Tests of such a feature call RequireConsul.
var (
	// ConsulStreaming is the streaming backend of health queries, on by default.
	ConsulStreaming = ConsulVersion{1, 10}
	// ConsulInitialManagement is the option acl.tokens.initial_management. Before, its name was master.
	ConsulInitialManagement = ConsulVersion{1, 11}
	// ConsulFilterReported is the header of responses that ACLs reduced.
	ConsulFilterReported = ConsulVersion{1, 11}
	// ConsulTransparentProxy is the mode "transparent" of a sidecar.
	ConsulTransparentProxy = ConsulVersion{1, 10}
	// ConsulGRPCTLS is the port for gRPC with TLS.
	ConsulGRPCTLS = ConsulVersion{1, 14}
	// ConsulListNeedsNodes is a list of services that shows a service only if the token can read its node. Consul 1.14.11
	// has none, and 1.22.3 has it; the versions between were not measured.
	ConsulListNeedsNodes = ConsulVersion{1, 22}
	// ConsulEmptyStream is the empty response of the streaming backend to an unknown token. Consul 1.14.11 refuses the
	// token, and 1.22.3 has the empty response; the versions between were not measured.
	ConsulEmptyStream = ConsulVersion{1, 22}
	// ConsulLocality is the field Locality of nodes and services. Consul 1.14.11 refuses it, and 1.22.3 has it; the versions
	// between were not measured.
	ConsulLocality = ConsulVersion{1, 22}
	// ConsulPorts are the named ports of a registration.
	ConsulPorts = ConsulVersion{1, 22}
)

var consulVersionLine = regexp.MustCompile(`^Consul v(\d+)\.(\d+)`)

// runningConsulVersion runs the program once.
var runningConsulVersion = sync.OnceValues(func() (ConsulVersion, error) {
	path, err := Binary(ConsulBinary)
	if err != nil {
		return ConsulVersion{}, err
	}
	output, err := exec.Command(path, "version").Output()
	if err != nil {
		return ConsulVersion{}, fmt.Errorf("%s version: %w", path, err)
	}
	return parseConsulVersion(string(output))
})

func parseConsulVersion(output string) (ConsulVersion, error) {
	match := consulVersionLine.FindStringSubmatch(output)
	if match == nil {
		return ConsulVersion{}, fmt.Errorf("%q does not name a version of Consul", output)
	}
	major, err := strconv.Atoi(match[1])
	minor, minorErr := strconv.Atoi(match[2])
	return ConsulVersion{major, minor}, errors.Join(err, minorErr)
}

// ConsulIs returns the version of the Consul that StartConsul starts.
func ConsulIs(t testing.TB) ConsulVersion {
	t.Helper()
	version, err := runningConsulVersion()
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// RequireConsul skips a test if Consul is older than the first version with a feature that the test is about.
func RequireConsul(t testing.TB, since ConsulVersion, feature string) {
	t.Helper()
	if version := ConsulIs(t); version.Before(since) {
		t.Skipf("Consul %s has no %s, which came with %s", version, feature, since)
	}
}

// ConsulACL returns the configuration of a server that rejects every request without a token, and has a token with all
// rights.
func ConsulACL(t testing.TB, management string) string {
	t.Helper()
	option := "initial_management"
	if ConsulIs(t).Before(ConsulInitialManagement) {
		option = "master"
	}
	return fmt.Sprintf("acl {\n enabled = true\n default_policy = \"deny\"\n tokens { %s = %q }\n}\n", option, management)
}
