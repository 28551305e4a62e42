package xds

import (
	"crypto/x509"
	"log/slog"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Anyone among the clients stands for every certificate that the client authorities signed.
const Anyone = "*"

// gatekeeper lets in whom the configuration names.
type gatekeeper struct {
	// clients are the identities that may read; none where certificates aren't asked for.
	clients []string
	log     *slog.Logger
	metrics *Metrics
}

// stream implements grpc.StreamServerInterceptor.
func (g gatekeeper) stream(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if len(g.clients) == 0 {
		return handler(service, stream)
	}
	from, _ := peer.FromContext(stream.Context())
	if from == nil {
		return status.Error(codes.Unauthenticated, "the client is unknown")
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return status.Error(codes.Unauthenticated, "the client shows no certificate")
	}
	identities := identities(info.State.PeerCertificates[0])
	if slices.ContainsFunc(g.clients, func(client string) bool {
		return client == Anyone || slices.Contains(identities, client)
	}) {
		return handler(service, stream)
	}
	g.metrics.refusals.Inc()
	g.log.Warn("a client was refused: none of its identities is among xds.clients",
		"address", from.Addr, "identities", identities)
	return status.Errorf(codes.PermissionDenied, "none of the identities %q may read services here", identities)
}

// identities are the subject alternative names of a certificate: its URIs, of which a SPIFFE ID is one, DNS names and IP
// addresses.
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
