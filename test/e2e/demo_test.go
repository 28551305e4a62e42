package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestDemo runs the demo as a user does and ends it with Ctrl-C. The demo itself fails if a step has a wrong result.
// The test checks the printed figures, the printed commands, and that no program keeps running.
func TestDemo(t *testing.T) {
	for output, objects := range map[string]string{
		"kube": `(?s)kind: WorkloadEntry.*kind: WorkloadEntry`, "xds": `istiod has this ServiceEntry, the Kubernetes API has none`,
	} {
		t.Run(output, func(t *testing.T) { runDemo(t, output, objects) })
	}
}

// TestDemoStopped verifies that Ctrl-C in the middle of the demo leaves no program and no file behind.
func TestDemoStopped(t *testing.T) {
	testbed.RequirePod(t, "curl", "getent", "redis-server", "redis-cli")
	folder, err := os.MkdirTemp("", "demo") // the folder of the test is closed to the user of the pod's Envoy
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	mark := "TMPDIR=" + folder
	demo := startDemo(t, mark)
	awaitOutput(t, demo, "is registered in Consul\n")
	if len(programsWith(t, mark)) < 8 {
		t.Error("the programs of the demo aren't found")
	}
	if err := demo.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, demo)
	eventually(t, func(context.Context) error { // killed processes end in a moment
		if left := programsWith(t, mark); len(left) > 0 {
			return fmt.Errorf("still running: %q", left)
		}
		return nil
	})
	if err := os.Remove(folder); err != nil {
		t.Error("files are left:", err)
	}
}

// programsWith returns the command lines of the programs with a variable in their environment.
func programsWith(t *testing.T, variable string) (lines []string) {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range environments {
		environment, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(environment), variable+"\x00") {
			continue // it has ended, or belongs to another user
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return lines
}

func startDemo(t *testing.T, env ...string) *testbed.Process {
	t.Helper()
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary, testbed.StudentBinary, testbed.DemoBinary)
	path, err := testbed.Binary(testbed.DemoBinary)
	if err != nil {
		t.Fatal(err)
	}
	demo, err := testbed.ForTest(t).Start("demo", path, env)
	if err != nil {
		t.Fatal(err)
	}
	return demo
}

// awaitOutput waits until the output of the demo contains a text.
func awaitOutput(t *testing.T, demo *testbed.Process, want string) {
	t.Helper()
	eventually(t, func(context.Context) error {
		select {
		case <-demo.Done():
			t.Fatalf("the demo ended:\n%s", demo.Log())
		default:
		}
		if !strings.Contains(demo.Log(), want) {
			return fmt.Errorf("the demo has not come to %q", want)
		}
		return nil
	})
}

func awaitEnd(t *testing.T, demo *testbed.Process) {
	t.Helper()
	eventually(t, func(context.Context) error {
		select {
		case <-demo.Done():
			return nil
		default:
			return errors.New("the demo still runs")
		}
	})
}

// runDemo runs the demo with an output. objects is an expression for the objects that the demo prints.
func runDemo(t *testing.T, output, objects string) {
	demo := startDemo(t, "KEEP=1", "OUTPUT="+output)
	awaitOutput(t, demo, "/clusters\n")
	printed := demo.Log()
	containsAll(t, printed,
		`(?m)^1\. Start Consul`, `Consul +http://127\.0\.0\.1:\d+ +ready after \d+ ms`, `Envoy +http://[0-9.]+:\d+ +ready`,
		`(?m)^2\. Start two instances`, `v1 of student-service at http://[0-9.]+:\d+`, `v2 of student-service at http`,
		`kind: ServiceEntry\n`, `- student-service\.service\.consul\n`, objects,
		`GET http://student-service\.service\.consul/getStudentDetailsForSchool/abcschool: 200`,
		`(?m)^5\. Send 90 %`, `200 calls: 1\d\d answered by v1, \d+ by v2`,
		`\(503\); it got its last call \d+ ms after Consul reported it`, `v2 is healthy again`,
		`Consul is stopped\n +200 calls: none failed`,
	)
	if runtime.GOOS == "linux" { // Linux has a second loopback address
		containsAll(t, printed, `GET http://student-service\.service\.consul:\d+/getStudentDetailsForSchool/abcschool: 200`)
	}
	if testbed.PodPossible(t.Context(), "curl", "getent", "redis-server", "redis-cli") == nil || os.Getenv("CI") == "true" {
		containsAll(t, printed,
			`\$ curl --no-progress-meter http://student-service/getStudentDetailsForSchool/abcschool\n +\{.*"version":"v[12]"`,
			`\$ redis-cli -h redis\.service\.consul PING\n +PONG`, `\$ redis-cli -h 24[4-7]\.\d+\.\d+\.\d+ PING\n +PONG`,
			`Envoy listener 24[4-7]\.\d+\.\d+\.\d+_6379 captured both connections`,
		)
	}
	t.Run("printed commands work", func(t *testing.T) { usePrinted(t, printed) })

	if err := demo.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, demo)
	leftNothing(t, printed)
}

// containsAll verifies that the output matches each expression.
func containsAll(t *testing.T, printed string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !regexp.MustCompile(want).MatchString(printed) {
			t.Errorf("the demo does not print %q:\n%s", want, printed)
		}
	}
}

// leftNothing verifies that no process listens at the addresses in the output, and that the network of the pod is gone.
func leftNothing(t *testing.T, printed string) {
	t.Helper()
	for _, address := range regexp.MustCompile(`127\.0\.0\.\d:\d+`).FindAllString(printed, -1) {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			t.Errorf("something still listens on %s", address)
		}
	}
	eventually(t, func(context.Context) error { // the kernel removes it with a delay
		links, err := net.InterfaceAddrs()
		if err != nil {
			return err
		}
		for _, link := range links {
			if address, _, _ := strings.Cut(link.String(), "/"); strings.Contains(printed, "http://"+address+":9098") {
				return fmt.Errorf("the pod's link %s is still there", link)
			}
		}
		return nil
	})
}

// usePrinted runs the last call that the demo prints for its user.
func usePrinted(t *testing.T, printed string) {
	commands := regexp.MustCompile(`(?m)^ +((?:nsenter .*)?curl .*/getStudentDetailsForSchool/abcschool)$`).FindAllStringSubmatch(printed, -1)
	if commands == nil {
		t.Fatalf("no line with a call:\n%s", printed)
	}
	line := strings.Fields(commands[len(commands)-1][1])
	eventually(t, func(ctx context.Context) error {
		output, err := exec.CommandContext(ctx, line[0], line[1:]...).Output()
		if err == nil && !strings.Contains(string(output), "Ada") {
			err = fmt.Errorf("%v says %s", line, output)
		}
		return err
	})
}
