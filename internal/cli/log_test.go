package cli

import (
	"bytes"
	"log"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestLibrariesLogAtDebug holds that the standard library's log doesn't get between ours.
func TestLibrariesLogAtDebug(t *testing.T) {
	for level, want := range map[string]string{"info": "", "debug": `"msg":"Unsolicited response"`} {
		var out bytes.Buffer
		newLog(config.Log{Level: level, Format: "json"}, &out)
		log.Print("Unsolicited response")
		if got := out.String(); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("at level %s: %q", level, got)
		}
	}
}
