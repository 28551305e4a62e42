package mesh

import (
	"slices"
	"strings"
)

// aliases are names of protocols that registries use, and the protocols of Istio for them.
var aliases = map[string]Protocol{
	"h2": HTTP2, "h2c": HTTP2, "http/2": HTTP2, "http-2": HTTP2,
	"http1": HTTP, "http/1": HTTP, "http/1.0": HTTP, "http1.1": HTTP, "http/1.1": HTTP, "rest": HTTP, "ws": HTTP, "websocket": HTTP,
	"grpcs": HTTPS, "wss": HTTPS, "h2s": HTTPS, "ssl": TLS, "tcp+sni": TLS, "tcp+tls": TLS,
	"grpcweb": GRPCWeb, "grpc_web": GRPCWeb, "tri": GRPC, "triple": GRPC,
	"mongodb": Mongo, "mariadb": MySQL,
}

// tcpNames are names of protocols on top of TCP that Istio does not know. They are TCP.
var tcpNames = []string{
	"activemq", "amqp", "amqps", "beats", "bolt", "cassandra", "cql", "db2", "dubbo", "firebird", "ftp", "ftps", "gelf",
	"gossip", "hazelcast", "hessian", "ibmmq", "imap", "imaps", "irc", "jdbc", "jms", "kafka", "ldap", "ldaps",
	"memcache", "memcached", "motan", "mqtt", "mqtts", "mssql", "nats", "neo4j", "nfs", "openwire", "oracle", "pg",
	"pgbouncer", "pgsql", "pop3", "pop3s", "postgres", "postgresql", "pulsar", "rabbitmq", "raft", "rdp", "rmi",
	"rocketmq", "rsocket", "rtmp", "rtsp", "serf", "sftp", "sip", "smb", "smtp", "smtps", "sofa", "sqlserver", "ssh",
	"stomp", "syslog", "tars", "tcp4", "tcp6", "tds", "telnet", "thrift", "vnc", "xmpp", "zk", "zookeeper",
}

// registeredProtocol returns the protocol with a name as registries write it, in any case: the names of Istio, other names
// of the same protocols, and protocols that are TCP to Istio.
func registeredProtocol(name string) (Protocol, bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	if protocol, ok := findProtocol(name); ok {
		return protocol, true
	}
	if protocol, ok := aliases[name]; ok {
		return protocol, true
	}
	if _, known := slices.BinarySearch(tcpNames, name); known {
		return TCP, true
	}
	return "", false
}

// tcpPorts are well-known ports of protocols that are not HTTP: the server sends first, or the protocol is binary. Envoy's
// HTTP codec would break all of them. Ports that are also common for HTTP are not in the list.
var tcpPorts = map[int]bool{
	21: true, 22: true, 23: true, 25: true, 53: true, 110: true, 119: true, 143: true, 389: true, 445: true, 465: true, 554: true,
	587: true, 636: true, 873: true, 990: true, 993: true, 995: true,
	1414: true,             // IBM MQ
	1433: true,             // SQL Server
	1521: true,             // Oracle
	1883: true, 8883: true, // MQTT
	1935: true,              // RTMP
	2049: true,              // NFS
	2181: true,              // ZooKeeper
	2222: true,              // SSH
	3050: true,              // Firebird
	3306: true, 33060: true, // MySQL
	3389: true,              // RDP
	4222: true,              // NATS
	4369: true, 25672: true, // Erlang
	4647: true, 4648: true, // Nomad's RPC and Serf
	5044: true,             // Beats
	5060: true, 5061: true, // SIP
	5222: true, 5269: true, // XMPP
	5432: true, 6432: true, 26257: true, // PostgreSQL, PgBouncer, CockroachDB
	5671: true, 5672: true, // AMQP
	5900: true,                           // VNC
	6379: true, 16379: true, 26379: true, // Redis and Sentinel
	6650: true, 6651: true, // Pulsar
	7687: true,                         // Bolt
	8300: true, 8301: true, 8302: true, // Consul's RPC and Serf
	9042: true, 9142: true, 9160: true, // Cassandra
	9092: true,              // Kafka
	9300: true,              // Elasticsearch transport
	9876: true, 10911: true, // RocketMQ
	11211: true,                           // memcached
	20880: true,                           // Dubbo
	24224: true,                           // Fluentd forward
	27017: true, 27018: true, 27019: true, // MongoDB
	28015: true,              // RethinkDB
	61613: true, 61616: true, // STOMP, OpenWire
}

// tlsPorts are well-known ports of HTTPS.
var tlsPorts = map[int]bool{443: true, 8443: true}
