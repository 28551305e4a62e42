package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// istiodHost is the host name in the certificate of istiod.
	istiodHost = "istiod.istio-system.svc"
	// istiodSecurePort is the port of istiod for agents.
	istiodSecurePort = 15012
	// sidecarUser is the user whose connections are not redirected.
	sidecarUser = "1337"
	// consumer is the name of the pod and of its service account.
	consumer = "consumer"
)

// The files in the folder of a pod.
const (
	agentFile     = "pilot-agent"
	envoyFile     = "envoy"
	bootstrapFile = "envoy_bootstrap.json"
	startEnvoy    = "start-envoy"
)

// StartSidecar starts Istio's agent in the pod, redirects the connections of the pod by Istio's iptables rules, and
// waits until Envoy is ready. The agent gets a certificate from istiod, starts Envoy, and resolves names if the options
// of the pod say so. The options of istiod must name the pod.
func (p *Pod) StartSidecar(ctx context.Context, kube *Kube, istiod *Istiod) (*Process, error) {
	if err := p.furnish(ctx, kube); err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	if err := p.redirect(ctx, istiod, "*"); err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	env, err := p.environment()
	if err != nil {
		return nil, err
	}
	agent, err := p.startAsSidecar(agentFile, env, "proxy", "sidecar",
		"--domain", consumerNamespace+".svc.cluster.local", "--templateFile", bootstrapFile)
	if err != nil {
		return nil, err
	}
	return agent, agent.ready(ctx, func(ctx context.Context) error {
		return getOK(ctx, "http://"+p.Address+":15021/healthz/ready") // the same request as that of the kubelet
	})
}

func (p *Pod) environment() ([]string, error) {
	proxy, err := json.Marshal(object{
		"discoveryAddress": istiodHost + ":" + strconv.Itoa(istiodSecurePort), "configPath": filepath.Join(p.dir, "proxy"),
		"binaryPath": filepath.Join(p.dir, startEnvoy), "concurrency": 1, "terminationDrainDuration": "0.1s",
	})
	return []string{
		"POD_NAME=" + consumer, "POD_NAMESPACE=" + consumerNamespace, "SERVICE_ACCOUNT=" + consumer, "INSTANCE_IP=" + p.Address,
		"CA_ADDR=" + istiodHost + ":" + strconv.Itoa(istiodSecurePort), "PILOT_CERT_PROVIDER=istiod", "TRUST_DOMAIN=cluster.local",
		"ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_META_INTERCEPTION_MODE=REDIRECT",
		"ISTIO_META_DNS_CAPTURE=" + strconv.FormatBool(p.options.DNSCapture), "PROXY_CONFIG=" + string(proxy),
	}, err
}

// StartEnvoy starts Envoy in the pod without Istio's agent. Istio's iptables rules redirect the outgoing connections of
// the pod to it. Incoming connections do not pass Envoy. Istiod must listen at the gateway of the pod.
func (p *Pod) StartEnvoy(ctx context.Context, istiod *Istiod) (*Envoy, error) {
	e, config, err := p.run.newEnvoy(istiod, p.Address)
	if err != nil {
		return nil, err
	}
	e.pod = p
	const file = "envoy.json"
	if err := p.write(file, string(config)); err != nil {
		return nil, err
	}
	if err := p.redirect(ctx, istiod, ""); err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	if e.Process, err = p.startAsSidecar(envoyFile, nil, envoyArguments(file)...); err != nil {
		return nil, err
	}
	return e, e.ready(ctx, func(ctx context.Context) error { return getOK(ctx, e.Admin+"/ready") })
}

// startAsSidecar starts a program of the pod's folder in the pod, as the user whose connections are not redirected.
func (p *Pod) startAsSidecar(name string, env []string, args ...string) (*Process, error) {
	// A change of the user clears the parent death signal, so setpriv sets it after the change.
	line := append(p.Enter(), "setpriv", "--reuid", sidecarUser, "--regid", sidecarUser, "--clear-groups", "--pdeathsig", "KILL",
		"env", "--chdir", p.dir, "./"+name)
	nsenter, err := exec.LookPath(line[0])
	if err != nil {
		return nil, err
	}
	return p.run.Start(name, nsenter, env, append(line[1:], args...)...)
}

// redirect does the work of Istio's init container, with the arguments of its template, for the given inbound ports. A
// star means all ports.
func (p *Pod) redirect(ctx context.Context, istiod *Istiod, inbound string) error {
	return command(ctx, append(p.Enter(), filepath.Join(p.dir, agentFile), "istio-iptables",
		"-p", strconv.Itoa(istiod.Outbound), "-z", strconv.Itoa(istiod.Inbound), "-u", sidecarUser, "-m", "REDIRECT",
		"-i", "*", "-x", "", "-b", inbound, "-d", "15090,15021,15020", "--redirect-dns="+strconv.FormatBool(p.options.DNSCapture))...)
}

// furnish writes the files that Kubernetes mounts in a pod.
func (p *Pod) furnish(ctx context.Context, kube *Kube) error {
	template, err := istioFile(bootstrapFile)
	if err != nil {
		return err
	}
	token, root, err := kube.credentials(ctx)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		bootstrapFile:                         string(template),
		"var/run/secrets/istio/root-cert.pem": root,
		"var/run/secrets/tokens/istio-token":  token,
		// A killed agent leaves its Envoy running, so the script ties Envoy to the agent.
		startEnvoy: fmt.Sprintf("#!/bin/sh\nexec setpriv --pdeathsig KILL %s \"$@\"\n", filepath.Join(p.dir, envoyFile)),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o755); err != nil {
			return err
		}
		if err := p.write(name, content); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(p.dir, startEnvoy), 0o755); err != nil {
		return err
	}
	return command(ctx, "chown", "-R", sidecarUser+":"+sidecarUser, p.dir)
}

// credentials returns a token for istiod of the consumer's service account, and the root certificate of istiod.
func (k *Kube) credentials(ctx context.Context) (token, root string, err error) {
	client, err := kubernetes.NewForConfig(k.REST)
	if err != nil {
		return "", "", err
	}
	accounts := client.CoreV1().ServiceAccounts(consumerNamespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: consumer}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", "", err
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"istio-ca"}}}
	if request, err = accounts.CreateToken(ctx, consumer, request, metav1.CreateOptions{}); err != nil {
		return "", "", err
	}
	err = Poll(ctx, startTimeout, func(ctx context.Context) error {
		config, err := client.CoreV1().ConfigMaps(consumerNamespace).Get(ctx, "istio-ca-root-cert", metav1.GetOptions{})
		if err != nil {
			return err
		}
		root = config.Data["root-cert.pem"]
		return nil
	})
	return request.Status.Token, root, err
}
