// Package guard is the mass-removal protection: it decides which removals that a source reports are applied.
//
// A registry that fails often reports less than it knows: an agent lost its servers, a snapshot was restored, a token lost
// rights, or all checks of a node turned critical. The guard applies single removals at once. It holds mass removals: the
// affected instances stay in the mesh as last reported until the registry reports them again or an operator releases them.
//
// # Which removals are held
//
// An instance is lost if it no longer serves: it is gone, critical, or not reachable. The guard counts the losses of one
// window. An instance in maintenance or of a kind that the source leaves out isn't a loss, and a new instance of the service
// makes up for a loss.
//
//	over the      over the      the service lost    its losses
//	instance      service       all of its
//	limit         limit         instances
//	------------  ------------  ------------------  ----------------------------------------------------------
//	no            no            any                 applied
//	no            yes           no                  applied: the service works better without dead instances
//	no            yes           yes                 held
//	yes           any           any                 held
//
// A limit is exceeded if the losses are more than the small number that is always allowed, and more than the share of all
// instances or services. A new hold includes the earlier losses of the window.
//
// # Generations
//
// Every team may register services, so a share of all services would be a share of a number that one team can raise. A
// service therefore has a generation. Generation 0 is the content of the first sync. A later service belongs to the newest
// generation. A generation is full when it is as large as all older ones together, and the next one begins. The guard checks
// the limits once for each generation, with the losses and the services of this and older generations. So a service is
// compared with services that are at least as old, and younger ones have no influence.
//
// A generation is an order and no time: no clock decides. A service keeps it until it was absent for more than one window.
// It is part of the last known good. Instances that a service adds later belong to the newest generation, too.
//
// # Sets: one mass removal, one hold
//
// When a limit is exceeded, the losses of the window become a set. It is open for one window: further losses of it join.
// Later losses are judged by themselves, in another set or in none. The limits of a set are those of the moment at which it
// began: what registers or leaves afterwards doesn't change them.
//
//	         a limit is exceeded              one window                   see below
//	losses ----------------------> open set -------------> closed set ----------------------> ended
//	                                   |                        |
//	                                   +-- its instances return, or new ones in their place --> no member
//
//	A member leaves a set when                                                   its removal
//	---------------------------------------------------------------------------  -----------
//	the registry reports the instance again, or another one makes up for it      is off
//	the set is below all of its limits and didn't change for one window          applies
//	the set is below its limits up to the generation of the member, and members
//	of this and older generations didn't change for Options.SeparateAfter        applies
//	an operator releases the hold of the source                                  applies
//	Options.ReleaseAfter has passed since the set began                          applies
//	the guard is disabled                                                        applies
//
// An instance that returned and is lost again is a new loss, and never extends the set that it was in.
//
// # Invariants
//
//  1. Removals of one window above a limit stay in the mesh while they are above it, compared with what was there at least
//     as long. Younger registrations have no influence, before the removal or after it.
//  2. The removal of a service applies at the latest two windows plus Options.SeparateAfter after it was reported, if the
//     losses of the same window that are at least as old are below the limits. Younger registrations have no influence,
//     whatever they do.
//  3. The end of a set doesn't depend on another set.
//
// TestAdversary verifies them with random registrants.
//
// # The cost of an attack
//
// With the default limits, a tenth of the services and half of the instances, and 40 services in the mesh:
//
//	to                                            a registrant needs
//	--------------------------------------------  ------------------------------------------------------------------
//	have the removal of all 40 applied            nothing suffices: younger services don't count for older ones
//	have more than a tenth of a later generation  to fill this generation: up to a fifth of what was older and up to a
//	  applied                                     tenth of 16 services are then applied
//	end a hold of 12                              12 registrations under the names of the 12 services
//	keep one removal of an older service held     more than 4 older services of its own, all gone for good
//	  after Options.SeparateAfter
//	keep it held for up to 12 windows             more than 4 services, 5 registrations for each window
//
// Three limits remain. A registrant that owns more than a tenth of the old services can hold the removals of others by
// removing its own in the same window, until an operator releases them. A service that was absent for more than a window is
// as young as those that came meanwhile. A restart forgets the generations of instances, not those of services.
//
// # Until the source has synced
//
//	the source        a service that it            a service that it        an instance missing
//	has synced        never reported               reported in part         from a full report
//	----------------  ---------------------------  -----------------------  --------------------------
//	no                kept                         kept                     kept
//	partially         kept                         kept                     by the tables above
//	completely        by the tables above          kept                     by the tables above
//
// After a restart or a takeover, all that is missing compared with the last known good is one set. A hold of before stays,
// also if less than a limit is missing.
//
// The package is pure: it has no clock and no network. The caller passes the time.
package guard
