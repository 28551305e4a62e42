package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/consul/api"
)

// ConsulOptions select the kind of agent.
type ConsulOptions struct {
	// Name is the name of the node. The default is "node".
	Name string
	// Datacenter is the name of the datacenter. The default is "dc1".
	Datacenter string
	// Persistent starts a server that keeps its data over a restart, in place of a -dev agent.
	Persistent bool
	// Client starts a client agent, which needs an agent to Join.
	Client bool
	// Join is an agent of the same datacenter to join. A server that joins another does not bootstrap a cluster.
	Join *Consul
	// JoinWAN is a server of another datacenter to join.
	JoinWAN *Consul
	// DNS is the address, host:port, of the DNS server. Without it the agent has none.
	DNS string
	// Peering lets the agent be the peer of another cluster, which needs Consul's own mesh.
	Peering bool
	// HCL is additional configuration.
	HCL string
	// Token is the ACL token that checks whether the agent is ready.
	Token string
}

// Consul is a running Consul agent.
type Consul struct {
	*Process
	// Address is the address, host:port, of the HTTP API.
	Address string

	lan, wan int
	options  ConsulOptions
	client   *api.Client
}

// StartConsul starts a Consul server agent and waits until it has a leader and its own node is registered.
func (r *Run) StartConsul(ctx context.Context, options ConsulOptions) (*Consul, error) {
	path, err := Binary(ConsulBinary)
	if err != nil {
		return nil, err
	}
	if options.Name == "" {
		options.Name = "node"
	}
	if options.Datacenter == "" {
		options.Datacenter = "dc1"
	}
	var http, server, lan, wan int
	if err := fillPorts(&http, &server, &lan, &wan); err != nil {
		return nil, err
	}
	args := []string{
		"agent", "-node=" + options.Name, "-datacenter=" + options.Datacenter, "-bind=127.0.0.1", "-client=127.0.0.1",
		"-http-port=" + strconv.Itoa(http), "-grpc-port=-1",
		"-server-port=" + strconv.Itoa(server), "-serf-lan-port=" + strconv.Itoa(lan), "-serf-wan-port=" + strconv.Itoa(wan),
		"-log-level=warn", "-hcl=disable_update_check=true",
	}
	version, err := runningConsulVersion()
	if err != nil {
		return nil, err
	}
	peering, err := options.peering(version)
	if err != nil {
		return nil, err
	}
	args = append(args, peering...)
	role, err := options.role(func() (string, error) { return r.Folder("consul-" + options.Name) })
	if err != nil {
		return nil, err
	}
	dns, err := options.dns()
	if err != nil {
		return nil, err
	}
	args = append(append(args, role...), dns...)
	if options.HCL != "" {
		file := filepath.Join(r.dir, "consul-"+options.Name+".hcl")
		if err := os.WriteFile(file, []byte(options.HCL), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-config-file="+file)
	}
	process, err := r.Start("consul-"+options.Name, path, nil, args...)
	if err != nil {
		return nil, err
	}
	c := &Consul{Process: process, Address: loopback(http), lan: lan, wan: wan, options: options}
	if c.client, err = newConsulClient(c.Address, options.Token); err != nil {
		return nil, err
	}
	return c, c.wait(ctx)
}

func newConsulClient(address, token string) (*api.Client, error) {
	client := &http.Client{Transport: olderAPI{next: oneShot()}}
	return api.NewClient(&api.Config{Address: address, Token: token, HttpClient: client})
}

// role returns the arguments for the kind of agent and the agents to join.
func (o ConsulOptions) role(folder func() (string, error)) ([]string, error) {
	if !o.Persistent && !o.Client {
		return []string{"-dev"}, nil
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	args := []string{"-data-dir=" + dir}
	if !o.Client {
		args = append(args, "-server")
	}
	if o.Join != nil {
		args = append(args, "-retry-join="+loopback(o.Join.lan))
	} else {
		args = append(args, "-bootstrap")
	}
	if o.JoinWAN != nil {
		args = append(args, "-retry-join-wan="+loopback(o.JoinWAN.wan))
	}
	return args, nil
}

// peering returns the arguments for Consul's own mesh and for the port by which peers connect.
func (o ConsulOptions) peering(version ConsulVersion) ([]string, error) {
	if !o.Peering && version.Before(ConsulGRPCTLS) {
		return []string{"-hcl=connect{enabled=false}"}, nil
	}
	if !o.Peering {
		return []string{"-grpc-tls-port=-1", "-hcl=connect{enabled=false}"}, nil
	}
	port, err := FreePort()
	return []string{"-grpc-tls-port=" + strconv.Itoa(port), "-hcl=connect{enabled=true}"}, err
}

// dns returns the arguments for the DNS server.
func (o ConsulOptions) dns() ([]string, error) {
	if o.DNS == "" {
		return []string{"-dns-port=-1"}, nil
	}
	host, port, err := net.SplitHostPort(o.DNS)
	return []string{"-dns-port=" + port, fmt.Sprintf("-hcl=addresses{dns=%q}", host)}, err
}

// Restart starts a stopped agent again and waits until it is ready.
func (c *Consul) Restart(ctx context.Context) error {
	if err := c.Process.Restart(); err != nil {
		return err
	}
	return c.wait(ctx)
}

// Client returns a client of the agent, with the token of its options. It keeps no connection open, because Consul
// limits them and goleak reports them.
func (c *Consul) Client() *api.Client { return c.client }

func (c *Consul) wait(ctx context.Context) error {
	client := c.client
	return c.ready(ctx, func(ctx context.Context) error {
		if leader, err := client.Status().LeaderWithQueryOptions((&api.QueryOptions{}).WithContext(ctx)); err != nil || leader == "" {
			return errors.Join(errors.New("there is no leader"), err)
		}
		nodes, _, err := client.Catalog().Nodes((&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		if len(nodes) == 0 && c.options.Token == "" && c.options.HCL != "" {
			return nil // with the ACL policy "deny" a reader without a token sees no node
		}
		if len(nodes) == 0 {
			return errors.New("its own node is not registered")
		}
		return nil
	})
}
