package testbed_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// asChild is set for the process of TestPodLeavesNothing that starts a pod and is killed.
const asChild = "TESTBED_POD_CHILD"

// TestPodLeavesNothing verifies that nothing is left of a pod when the program that started it is killed.
func TestPodLeavesNothing(t *testing.T) {
	testbed.RequirePod(t)
	if os.Getenv(asChild) != "" {
		makePod(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestPodLeavesNothing$", "-test.v")
	child.Env = append(os.Environ(), asChild+"="+t.TempDir())
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	link := ""
	for lines := bufio.NewScanner(output); link == "" && lines.Scan(); {
		_, link, _ = strings.Cut(lines.Text(), "the link is ")
	}
	there := exec.CommandContext(t.Context(), "ip", "link", "show", link).Run()
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait() // the process was killed
	if link == "" || there != nil {
		t.Fatalf("no pod was made, or it has no link: %q: %v", link, there)
	}
	gone := testbed.Poll(t.Context(), time.Minute, func(ctx context.Context) error {
		if exec.CommandContext(ctx, "ip", "link", "show", link).Run() == nil {
			return errors.New(link + " is still there")
		}
		return nil
	})
	if gone != nil {
		t.Error(gone)
	}
}

func makePod(t *testing.T) {
	pod, err := testbed.New(os.Getenv(asChild)).StartPod(t.Context(), testbed.PodOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("the link is " + pod.Link())
	<-t.Context().Done()
}
