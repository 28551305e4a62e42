package cli

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestXDSWrongUse verifies that the xds output starts only with an explicit choice between TLS and plain text.
func TestXDSWrongUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	secure := filepath.Join(t.TempDir(), "secure.yaml")
	writeFile(t, secure, "xds: {tls: {certFile: /none, keyFile: /none}}")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"neither": {
			[]string{"--output", "xds=:15010"},
			"isthmus: --output xds requires xds.tls.certFile and xds.tls.keyFile in the configuration; to serve plain text, set --xds-plaintext",
		},
		"both": {
			[]string{"--output", "xds=:15010", "--xds-plaintext", "--config", secure},
			"isthmus: --xds-plaintext conflicts with xds.tls in the configuration; remove one of them",
		},
		"another output": {[]string{"--output", "stdout", "--xds-plaintext"}, "isthmus: --xds-plaintext requires --output xds=ADDRESS"},
		"no address":     {[]string{"--output", "xds="}, `isthmus: output "xds=" is not one of kube, stdout, dir=PATH, xds=ADDRESS`},
		"no port":        {[]string{"--output", "xds=host", "--xds-plaintext"}, `isthmus: output xds: "host" is not host:port or :port`},
		"port in use": {
			[]string{"--output", "xds=" + busy.Addr().String(), "--xds-plaintext"}, "isthmus: xds: listen on ",
		},
		"no file": {
			[]string{"--output", "xds=127.0.0.1:0", "--config", secure}, "isthmus: xds.tls: open /none: no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := run(t, append([]string{"run"}, test.args...)...)
			if code != 2 || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}
