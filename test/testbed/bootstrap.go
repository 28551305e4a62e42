package testbed

import (
	"encoding/json"
	"net"
	"strconv"
	"strings"
)

type object map[string]any

// bootstrap returns the bootstrap configuration of Envoy: its node, its addresses, and the address of istiod. Envoy
// gets all other configuration from istiod.
func bootstrap(xds string, addresses []string, admin, proxy, capture int) ([]byte, error) {
	address := addresses[0]
	host, port, err := net.SplitHostPort(xds)
	if err != nil {
		return nil, err
	}
	xdsPort, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	ads := object{"ads": object{}, "resource_api_version": "V3"}
	return json.Marshal(object{
		"node": object{
			"id":      "sidecar~" + address + "~consumer." + consumerNamespace + "~" + consumerNamespace + ".svc.cluster.local",
			"cluster": "consumer." + consumerNamespace,
			"metadata": object{
				"NAMESPACE": consumerNamespace, "LABELS": object{"app": "consumer"}, "CLUSTER_ID": "Kubernetes",
				"ISTIO_VERSION": "1.31.0", "INTERCEPTION_MODE": "REDIRECT", "HTTP_PROXY_PORT": strconv.Itoa(proxy),
				"INSTANCE_IPS": strings.Join(addresses, ","),
			},
		},
		"admin": object{"address": socket(address, admin)},
		"dynamic_resources": object{
			"ads_config": object{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
				"grpc_services": []any{object{"envoy_grpc": object{"cluster_name": "istiod"}}},
			},
			"lds_config": ads, "cds_config": ads,
		},
		"static_resources": object{
			"clusters":  []any{istiodCluster(host, xdsPort), object{"name": nowhere, "type": "STATIC"}},
			"listeners": []any{captureListener(address, capture)},
		},
	})
}

// nowhere is a cluster without endpoints.
const nowhere = "nowhere"

func istiodCluster(host string, port int) object {
	return object{
		"name": "istiod", "type": "STATIC", "connect_timeout": "5s",
		"typed_extension_protocol_options": object{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": object{"http2_protocol_options": object{}},
			},
		},
		"load_assignment": object{
			"cluster_name": "istiod",
			"endpoints": []any{object{"lb_endpoints": []any{
				object{"endpoint": object{"address": socket(host, port)}},
			}}},
		},
	}
}

// captureListener replaces iptables and the virtual listener of Istio in a pod, without root. It hands a connection to
// the listener of its original destination, which it takes from the PROXY protocol.
func captureListener(address string, port int) object {
	return object{
		"name": "capture", "address": socket(address, port), "use_original_dst": true,
		"listener_filters": []any{object{
			"name": "envoy.filters.listener.proxy_protocol",
			"typed_config": object{
				"@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
			},
		}},
		"filter_chains": []any{object{"filters": []any{object{
			"name": "envoy.filters.network.tcp_proxy",
			"typed_config": object{
				"@type":       "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
				"stat_prefix": "capture", "cluster": nowhere,
			},
		}}}},
	}
}

func socket(host string, port int) object {
	return object{"socket_address": object{"address": host, "port_value": port}}
}
