package catalog

import "strings"

// udpProtocols are the names of protocols on top of UDP. Names of protocols that also run on TCP are not in the list.
var udpProtocols = map[string]bool{
	"coap": true, "coaps": true, "dhcp": true, "dtls": true, "h3": true, "http/3": true, "http3": true, "ntp": true,
	"quic": true, "rtcp": true, "rtp": true, "snmp": true, "srtp": true, "tftp": true, "udp": true, "udp4": true, "udp6": true,
	"wireguard": true,
}

// IsUDP reports whether the name of a protocol, in any case, is UDP or a protocol on top of UDP.
func IsUDP(protocol string) bool { return udpProtocols[strings.ToLower(strings.TrimSpace(protocol))] }
