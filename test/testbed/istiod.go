package testbed

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	securityv1beta1 "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	istio "istio.io/client-go/pkg/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// systemNamespace is the namespace of Istio.
const systemNamespace = "istio-system"

// Istiod is a running istiod.
type Istiod struct {
	*Process
	// XDS is the address, host:port, of the plain gRPC port.
	XDS string
	// HTTP is the URL of the debug pages.
	HTTP string
	// Monitoring is the URL of the metrics.
	Monitoring string
	// Outbound and Inbound are the ports where sidecars listen.
	Outbound, Inbound int
}

// IstiodOptions select the inputs of istiod and its clients.
type IstiodOptions struct {
	// ConfigSources are entries of configSources in the mesh configuration, in YAML. They come before the Kubernetes
	// API. Without them istiod uses its default.
	ConfigSources []string
	// Pod is set for a pod with a complete sidecar: istiod issues certificates, and mutual TLS is automatic.
	Pod *Pod
	// Address is the address of the plain gRPC port. The default is loopback.
	Address string
	// Consul are flags of isthmus-istiod. With them, that program runs in place of istiod, with Consul as a registry.
	Consul []string
}

// StartIstiod starts an istiod that reads a Kubernetes API, and waits until it is ready. Its settings are for an
// upstream Envoy without Istio's agent: no mutual TLS and no filters of Istio's Envoy.
func (r *Run) StartIstiod(ctx context.Context, kube *Kube) (*Istiod, error) {
	return r.StartIstiodWith(ctx, kube, IstiodOptions{})
}

// StartIstiodWith is StartIstiod with options.
func (r *Run) StartIstiodWith(ctx context.Context, kube *Kube, options IstiodOptions) (*Istiod, error) {
	i, err := r.LaunchIstiod(ctx, kube, options)
	if err != nil {
		return nil, err
	}
	return i, i.Wait(ctx)
}

// LaunchIstiod is StartIstiodWith without waiting until istiod is ready.
func (r *Run) LaunchIstiod(ctx context.Context, kube *Kube, options IstiodOptions) (*Istiod, error) {
	binary, registries := IstiodBinary, "Kubernetes"
	if len(options.Consul) > 0 {
		binary, registries = IsthmusIstiodBinary, "Kubernetes,Consul"
	}
	path, err := Binary(binary)
	if err != nil {
		return nil, err
	}
	if err := prepareIstio(ctx, kube.REST, options.Pod == nil); err != nil {
		return nil, fmt.Errorf("istiod: %w", err)
	}
	i := &Istiod{}
	var xds, web, monitoring, ctrlz int
	if err := fillPorts(&xds, &web, &monitoring, &ctrlz, &i.Outbound, &i.Inbound); err != nil {
		return nil, err
	}
	// The ports differ from the usual 15001 and 15006, so that two runs on one machine do not conflict.
	mesh := fmt.Sprintf("enableAutoMtls: false\nproxyListenPort: %d\nproxyInboundListenPort: %d\n", i.Outbound, i.Inbound)
	secure := ""
	if options.Pod != nil {
		i.Outbound, i.Inbound = 15001, 15006
		mesh, secure = "enableAutoMtls: true\n", net.JoinHostPort(options.Pod.Gateway, strconv.Itoa(istiodSecurePort))
	}
	if len(options.ConfigSources) > 0 { // any entry replaces the default
		mesh += "configSources:\n- " + strings.Join(options.ConfigSources, "\n- ") + "\n- {address: \"k8s://\"}\n"
	}
	meshFile := filepath.Join(r.dir, fmt.Sprintf("mesh-%d.yaml", xds))
	if err := os.WriteFile(meshFile, []byte(mesh), 0o600); err != nil {
		return nil, err
	}
	i.XDS = net.JoinHostPort(cmp.Or(options.Address, "127.0.0.1"), strconv.Itoa(xds))
	i.HTTP, i.Monitoring = "http://"+loopback(web), "http://"+loopback(monitoring)
	args := []string{
		"discovery", "--kubeconfig", kube.Kubeconfig, "--meshConfig", meshFile, "--registries", registries,
		"--httpsAddr", "", "--secureGRPCAddr", secure, "--grpcAddr", i.XDS, "--httpAddr", loopback(web),
		"--monitoringAddr", loopback(monitoring), "--ctrlz_port", strconv.Itoa(ctrlz),
	}
	i.Process, err = r.Start("istiod", path, []string{
		"POD_NAMESPACE=" + systemNamespace, "POD_NAME=istiod-0",
		"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false",
	}, append(args, options.Consul...)...)
	return i, err
}

// Wait waits until istiod is ready.
func (i *Istiod) Wait(ctx context.Context) error { return i.ready(ctx, i.IsReady) }

// IsReady returns nil if istiod is ready.
func (i *Istiod) IsReady(ctx context.Context) error { return getOK(ctx, i.HTTP+"/ready") }

// IstiodObject is an object in the configuration of istiod.
type IstiodObject struct {
	Kind            string
	Namespace, Name string
	Spec            map[string]any
}

// Objects returns all objects of istiod from all of its sources.
func (i *Istiod) Objects(ctx context.Context) ([]IstiodObject, error) {
	body, err := get(ctx, i.HTTP+"/debug/configz")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var page []struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"metadata"`
		Spec map[string]any `json:"spec"`
	}
	if err := json.NewDecoder(body).Decode(&page); err != nil {
		return nil, fmt.Errorf("istiod's page configz: %w", err)
	}
	objects := make([]IstiodObject, len(page))
	for n, o := range page {
		objects[n] = IstiodObject{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Spec: o.Spec}
	}
	return objects, nil
}

// Spec returns the spec of an object of istiod.
func (i *Istiod) Spec(ctx context.Context, kind, name string) (map[string]any, error) {
	objects, err := i.Objects(ctx)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if object.Kind == kind && object.Name == name {
			return object.Spec, nil
		}
	}
	return nil, fmt.Errorf("istiod has no %s %s", kind, name)
}

// Metric returns the sum of all series of a metric that have the labels, which are names and values in turn.
func (i *Istiod) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	return metric(ctx, i.Monitoring, name, labels)
}

// prepareIstio creates the namespace of Istio and, on request, the policy that lets a sidecar without certificates
// start.
func prepareIstio(ctx context.Context, config *rest.Config, plain bool) error {
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}}
	if _, err := core.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if !plain {
		return nil
	}
	client, err := istio.NewForConfig(config)
	if err != nil {
		return err
	}
	policy := &securityv1.PeerAuthentication{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: securityv1beta1.PeerAuthentication{
			Mtls: &securityv1beta1.PeerAuthentication_MutualTLS{Mode: securityv1beta1.PeerAuthentication_MutualTLS_DISABLE},
		},
	}
	_, err = client.SecurityV1().PeerAuthentications(systemNamespace).Create(ctx, policy, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
