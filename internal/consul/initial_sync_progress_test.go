package consul

import (
	"fmt"
	"testing"
	"time"
)

func TestLongStartSaysHowFarItIs(t *testing.T) {
	s := newFakeConsul(t)
	var all []string
	for i := range 12 {
		all = append(all, fmt.Sprintf("s%02d", i))
		answer := sent(0).later(time.Duration(i)*500*time.Millisecond).says(11, instances(all[i], "n1/"+all[i]))
		if i >= 8 {
			answer = sent(0).hangs()
		}
		s.service(all[i], answer)
	}
	s.list(sent(0).says(10, names(all...)))
	p := s.run(5*time.Second, Options{Connections: 200})
	p.metric("isthmus_consul_pending_services", 4)
	p.logged(messageSyncProgress, 1)
	p.logged("services=12", 1)
}

func TestStartThatIsOver(t *testing.T) {
	p := webScript(t).run(time.Minute, Options{})
	p.metric("isthmus_consul_pending_services", 0)
	p.logged(messageSyncProgress, 0)
}
