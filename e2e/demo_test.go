package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/testbed"
)

// TestDemo plays the demo as a user does, step by step, and ends it with Ctrl-C. The demo fails by itself where a step
// doesn't show what it should; here the figures are looked at, and that nothing is left running.
func TestDemo(t *testing.T) {
	for output, shows := range map[string]string{
		"kube": `(?s)kind: WorkloadEntry.*kind: WorkloadEntry`, "xds": `this is what istiod holds; the Kubernetes API has no ServiceEntry`,
	} {
		t.Run(output, func(t *testing.T) { playDemo(t, output, shows) })
	}
}

// playDemo plays it for an output. Shows is what the story has to say of what isthmus made.
func playDemo(t *testing.T, output, shows string) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary, testbed.StudentBinary, testbed.DemoBinary)
	path, err := testbed.Binary(testbed.DemoBinary)
	if err != nil {
		t.Fatal(err)
	}
	demo, err := testbed.ForTest(t).Start("demo", path, []string{"KEEP=1", "OUTPUT=" + output})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) error {
		select {
		case <-demo.Done():
			t.Fatalf("the demo ended:\n%s", demo.Log())
		default:
		}
		if !strings.Contains(demo.Log(), "/clusters\n") {
			return errors.New("the demo has not come to its end")
		}
		return nil
	})
	story := demo.Log()
	for _, want := range []string{
		`(?m)^1\. Start Consul`, `Consul +http://127\.0\.0\.1:\d+ +ready after \d+ ms`, `Envoy +http://127\.0\.0\.1:\d+ +ready`,
		`(?m)^2\. Start two instances`, `v1 of student-service at http://127\.0\.0\.1:\d+`, `v2 of student-service at http`,
		`kind: ServiceEntry\n`, `- student-service\.service\.consul\n`, shows,
		`GET http://student-service\.service\.consul/getStudentDetailsForSchool/abcschool: 200`,
		`(?m)^4\. Send 90 %`, `200 calls: 1\d\d answered by v1, \d+ by v2`,
		`503; \d+ ms after Consul said so, v2 had got its last call`, `v2 is healthy again`,
		`Consul is stopped\n +200 calls: none failed`,
	} {
		if !regexp.MustCompile(want).MatchString(story) {
			t.Errorf("the demo doesn't say %q:\n%s", want, story)
		}
	}
	if _, err := os.Stat("/proc/sys/net/ipv4"); err == nil { // Linux has a second loopback address
		if !regexp.MustCompile(`GET http://student-service\.service\.consul:\d+/getStudentDetailsForSchool/abcschool: 200`).MatchString(story) {
			t.Errorf("the demo doesn't call the native port:\n%s", story)
		}
	}
	t.Run("what it prints can be used", func(t *testing.T) { usePrinted(t, story) })

	if err := demo.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) error {
		select {
		case <-demo.Done():
			return nil
		default:
			return errors.New("the demo still runs")
		}
	})
	for _, address := range regexp.MustCompile(`127\.0\.0\.\d:\d+`).FindAllString(story, -1) {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			t.Errorf("something still listens on %s", address)
		}
	}
}

// usePrinted does what the demo's last lines say that a user can do.
func usePrinted(t *testing.T, story string) {
	printed := regexp.MustCompile(`curl -x (\S+) (\S+)`).FindStringSubmatch(story)
	if printed == nil {
		t.Fatalf("no line with curl -x:\n%s", story)
	}
	proxy, err := url.Parse(printed[1])
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
	eventually(t, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, printed[2], nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", printed[2], strconv.Itoa(response.StatusCode))
		}
		return nil
	})
}
