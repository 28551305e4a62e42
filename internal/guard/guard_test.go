package guard_test

import "testing"

func TestGuard(t *testing.T) {
	for name, script := range map[string]string{
		"single instances and services leave at once": ten() + `
			s0 a
			= s0 a
			s1
			= s1
			s2 a b-
			= s2 a
			held`,
		"instances of a kind that the source leaves out aren't losses, and leave at once": ten() + `
			s0 a~ b~
			s1 a~ b~
			s2 a~ b~
			s3 a~ b~
			s4 a~ b~
			s5 a~ b~
			= s0
			= s5
			held
			s0 a b
			= s0 a b
			held`,
		"a held instance that the source leaves out by now leaves": ten() + `
			s0
			s1
			s2
			held 6/3
			s1 a~ b~
			= s1
			held 4/2
			s1
			held 4/2`,
		"the removal of instances that were left out isn't a loss": ten() + `
			s0 a~ b~
			s1 a~ b~
			s2 a~ b~
			s0
			s1
			s2
			= s0
			held`,
		"several services at once are held, including the first one": ten() + `
			s0
			= s0
			s1
			= s1 a b
			= s0 a b
			held 4/2
			s2
			= s2 a b
			held 6/3`,
		"services that turn critical are held": ten() + `
			s0 a- b-
			s1 a- b-
			= s0 a b
			= s1 a b
			held 4/2`,
		"more than half of all instances at once are held, although every service has others": ten() + `
			s0 a
			s1 a
			s2 a
			s3 a
			s4 a
			s5 a
			s6 a
			s7 a
			s8 a
			s9 a
			= s0 a
			held
			s0
			= s0 a b
			= s9 a b
			held 11/1`,
		"small steps are applied": ten() + `
			s0
			+61s
			s1
			+61s
			s2
			+61s
			s3
			+61s
			s4
			= s0
			= s4
			held`,
		"during a hold, losses of some instances of a service are applied, and additions and updates continue": ten() + `
			s0
			s1
			s2 a
			= s2 a
			s3 a b c
			= s3 a b c
			new x
			= new x
			held 4/2
			s2
			= s2 a b
			held 6/3`,
		"a hold of services widens to all instances when more than half are lost": ten() + `
			s0
			s1
			s2 a
			s3 a
			s4 a
			s5 a
			s6 a
			s7 a
			= s7 a
			held 4/2
			s8 a
			= s7 a b
			held 11/2
			s9
			= s9 a b
			= s2 a b
			held 13/3
			s9 b
			= s9 a b
			held 12/2`,
		"returning instances end the hold": ten() + `
			s0
			s1
			held 4/2
			s0 a b
			held 2/1
			s1 b
			= s1 a b
			s1 a b
			= s1 a b
			held`,
		"an operator releases the hold": ten() + `
			s0
			s1
			s2 a- b-
			release
			= s0
			= s1
			= s2
			held`,
		"a small rest is applied after one window without a returning instance": ten() + `
			s0
			s1
			s2
			+50s
			s0 a b
			+50s
			s1 a b
			+50s
			= s2 a b
			held 2/1
			+11s
			= s2
			held`,
		"time alone doesn't end a hold": ten() + `
			s0
			s1
			+1000h
			= s0 a b
			held 4/2`,
		"a rolling update has no losses": ten() + `
			s0 c d
			s1 a b c d
			s1 c d
			s2 b
			s2 b c
			s2 c
			s2 c d
			s3 c d
			s4 c d
			s5 c d
			s6 c d
			s7 c d
			s8 c d
			= s0 c d
			= s1 c d
			= s2 c d
			held`,
		"new instances replace held instances": ten() + `
			s0
			s1
			held 4/2
			s0 c
			= s0 b c
			s0 c d
			= s0 c d
			held 2/1`,
		"maintenance isn't a loss": ten() + `
			s0 a! b!
			s1 a! b!
			s2 a! b!
			= s0
			= s2
			held`,
		"maintenance ends the hold of an instance": ten() + `
			s0 a- b-
			s1 a- b-
			= s0 a b
			s0 a! b!
			= s0
			held 2/1`,
		"critical first and gone later is one loss": ten() + `
			s0 a- b-
			s1 a- b-
			s0
			= s0 a b
			held 4/2`,
		"instances that a partial report may hide stay": ten() + `
			s0? a- c
			= s0 b c
			s1?
			= s1 a b
			held
			s1
			s0 c
			= s1
			= s0 c
			held`,
		"a few losses are always applied": `
			s0 a b
			sync
			s0
			= s0
			held`,
		"all services of a small registry are held": `
			s0 a
			s1 a
			sync
			s0
			s1
			= s0 a
			= s1 a
			held 2/2`,
		"nothing replaces the instances of a new service": ten() + `
			n0 a b
			n1 a b
			n0
			n1
			= n0 a b
			held 4/2`,
		"a change of case in an ID isn't a loss": ten() + `
			s0 A B
			= s0 A B
			held`,
	} {
		t.Run(name, func(t *testing.T) { newScenario(t, options()).run(script) })
	}
}
