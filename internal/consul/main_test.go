package consul

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	pingAfter, pingTimeout = 5*time.Second, 5*time.Second
	flag.Parse()
	// Tests on real servers mostly wait, so more of them than processors can run at the same time.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
