package testbed

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// adminToken is the token of a user with all rights. The API server listens on loopback and lives as long as a test.
const adminToken = "loopback-admin"

// Kube is a Kubernetes API: an API server and its etcd.
type Kube struct {
	APIServer *Process
	Etcd      *Process
	// Kubeconfig is the path of a kubeconfig file with all rights.
	Kubeconfig string
	// REST is the same access as a client configuration.
	REST *rest.Config
}

// StartKube starts a Kubernetes API with the CRDs of Istio.
func (r *Run) StartKube(ctx context.Context) (*Kube, error) {
	var client, peer, secure int
	if err := fillPorts(&client, &peer, &secure); err != nil {
		return nil, err
	}
	etcd, err := r.startEtcd(client, peer)
	if err != nil {
		return nil, err
	}
	server, err := r.startAPIServer(client, secure)
	if err != nil {
		return nil, err
	}
	k := &Kube{APIServer: server, Etcd: etcd, Kubeconfig: filepath.Join(r.dir, "kubeconfig")}
	k.REST = &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", secure), BearerToken: adminToken,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1,
	}
	if err := clientcmd.WriteToFile(kubeconfig(k.REST.Host), k.Kubeconfig); err != nil {
		return nil, err
	}
	if err := k.wait(ctx); err != nil {
		return nil, err
	}
	return k, applyCRDs(ctx, k.REST)
}

// Restart starts a stopped API server again and waits until it is ready.
func (k *Kube) Restart(ctx context.Context) error {
	if err := k.APIServer.Restart(); err != nil {
		return err
	}
	return k.wait(ctx)
}

func (k *Kube) wait(ctx context.Context) error {
	config := rest.CopyConfig(k.REST)
	config.Timeout = 2 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return k.APIServer.ready(ctx, func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func (r *Run) startEtcd(client, peer int) (*Process, error) {
	path, err := Binary(EtcdBinary)
	if err != nil {
		return nil, err
	}
	dir, err := r.Folder("etcd")
	if err != nil {
		return nil, err
	}
	clientURL, peerURL := fmt.Sprintf("http://127.0.0.1:%d", client), fmt.Sprintf("http://127.0.0.1:%d", peer)
	return r.Start("etcd", path, nil,
		"--data-dir="+dir, "--listen-client-urls="+clientURL, "--advertise-client-urls="+clientURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=default="+peerURL,
		"--unsafe-no-fsync")
}

func (r *Run) startAPIServer(etcd, secure int) (*Process, error) {
	path, err := Binary(APIServerBinary)
	if err != nil {
		return nil, err
	}
	key, err := r.signingKey()
	if err != nil {
		return nil, err
	}
	tokens := filepath.Join(r.dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(adminToken+",admin,admin,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	return r.Start("kube-apiserver", path, nil,
		"--etcd-servers=http://127.0.0.1:"+strconv.Itoa(etcd), "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(secure),
		"--cert-dir="+filepath.Join(r.dir, "certs"), "--token-auth-file="+tokens, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--service-cluster-ip-range=10.96.0.0/16", "--disable-admission-plugins=ServiceAccount")
}

// signingKey makes the signing key of service account tokens. The API server does not start without one.
func (r *Run) signingKey() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, "sa.key")
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return path, os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

func kubeconfig(host string) clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters["loopback"] = &clientcmdapi.Cluster{Server: host, InsecureSkipTLSVerify: true}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: adminToken}
	config.Contexts["loopback"] = &clientcmdapi.Context{Cluster: "loopback", AuthInfo: "admin"}
	config.CurrentContext = "loopback"
	return *config
}

// CloseIdle closes the idle connections of clients of REST.
func (k *Kube) CloseIdle() {
	if transport, err := rest.TransportFor(k.REST); err == nil {
		(&http.Client{Transport: transport}).CloseIdleConnections()
	}
}

// Requests returns the number of requests with a verb ("APPLY", "DELETE") for a resource ("workloadentries") that the
// API server has carried out since its start, from all clients.
func (k *Kube) Requests(ctx context.Context, verb, resource string) (float64, error) {
	requests, err := k.requests(ctx)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, code := range []string{"200", "201"} {
		total += sum(requests, "verb", verb, "resource", resource, "code", code)
	}
	return total, nil
}

// RequestsOf returns the number of requests for the resources of a group that the API server has answered since its
// start, from all clients. A watch counts when it ends.
func (k *Kube) RequestsOf(ctx context.Context, group string) (float64, error) {
	requests, err := k.requests(ctx)
	return sum(requests, "group", group), err
}

func (k *Kube) requests(ctx context.Context) (*dto.MetricFamily, error) {
	client, err := kubernetes.NewForConfig(k.REST)
	if err != nil {
		return nil, err
	}
	raw, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	families, err := parseMetrics(bytes.NewReader(raw))
	return families["apiserver_request_total"], err
}
