package xds

import (
	"crypto/x509"
	"log/slog"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// AnyClient allows every certificate that one of the client authorities signed.
const AnyClient = "*"

// authorizer allows the clients that the configuration lists.
type authorizer struct {
	// clients are the identities that may read. Empty allows every client, because the server does not request certificates.
	clients []string
	// establish marks the connection of an authorized client as established.
	establish func(client net.Addr)
	log       *slog.Logger
	metrics   *Metrics
}

// stream implements grpc.StreamServerInterceptor.
func (a authorizer) stream(
	service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	from, ok := peer.FromContext(stream.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "the address of the client is unknown")
	}
	if err := a.authorize(from); err != nil {
		return err
	}
	a.establish(from.Addr)
	return handler(service, stream)
}

// authorize returns an error if a client may not read.
func (a authorizer) authorize(from *peer.Peer) error {
	if len(a.clients) == 0 {
		return nil
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return status.Error(codes.Unauthenticated, "the client has no certificate: configure one that a client authority signed")
	}
	identities := identities(info.State.PeerCertificates[0])
	if slices.ContainsFunc(a.clients, func(client string) bool {
		return client == AnyClient || slices.Contains(identities, client)
	}) {
		return nil
	}
	a.metrics.unauthorized.Inc()
	a.log.Warn("xDS client not authorized, stream rejected", "client", from.Addr, "identities", identities,
		"hint", "if the client may read services, add one of its identities to xds.clients")
	return status.Errorf(codes.PermissionDenied,
		"identities %q are not authorized: add one of them to xds.clients", identities)
}

// identities returns the subject alternative names of a certificate: URIs such as a SPIFFE ID, DNS names and IP addresses.
func identities(certificate *x509.Certificate) []string {
	var names []string
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	names = append(names, certificate.DNSNames...)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
