// The same places in both families, so that every table runs twice. See netns.ts for the network.

export interface Book {
  family: 4 | 6;
  /** `at(book.pod1, 80)`: address and port as the builders take them. */
  at(ip: string, port: number): string;
  /** Pods of this node, behind pod1 and pod2. */
  pod1: string;
  pod2: string;
  /** Another two on device pod2. */
  pod2b: string;
  /** A pod of node 2, by the uplink. */
  remote: string;
  remote2: string;
  /** A pod beyond the overlay. */
  overlay: string;
  /** Behind a route with MTU 1400. */
  narrow: string;
  /** Its route has no neighbour entry. */
  unresolved: string;
  /** No route. */
  nowhere: string;
  /** Outside clients, by the uplink's gateway. */
  client: string;
  client2: string;
  /** This node's addresses: primary on the uplink, second uplink, overlay. */
  node: string;
  node2nd: string;
  nodeOverlay: string;
  loopback: string;
  /** Free addresses for services. */
  vip: string;
  vip2: string;
  lb: string;
  hairpin: string;
  /** `at` of a NodePort service. */
  nodePort(port: number): string;
  /** A prefix that contains `client` but not `client2`. */
  clientRange: string;
  /** The pod network of this node. */
  podRange: string;
}

const V4: Book = {
  family: 4,
  at: (ip, port) => `${ip}:${port}`,
  pod1: '10.244.1.11',
  pod2: '10.244.1.12',
  pod2b: '10.244.1.13',
  remote: '10.244.2.21',
  remote2: '10.244.2.22',
  overlay: '10.244.3.2',
  narrow: '10.244.4.4',
  unresolved: '10.244.9.9',
  nowhere: '10.244.66.6',
  client: '203.0.113.7',
  client2: '203.0.113.66',
  node: '192.0.2.10',
  node2nd: '198.51.100.10',
  nodeOverlay: '10.244.3.1',
  loopback: '127.0.0.1',
  vip: '10.96.0.10',
  vip2: '10.96.0.11',
  lb: '192.0.2.127',
  hairpin: '169.254.42.1',
  nodePort: (port) => `*4:${port}`,
  clientRange: '203.0.113.0/27',
  podRange: '10.244.1.0/24',
};

const V6: Book = {
  family: 6,
  at: (ip, port) => `[${ip}]:${port}`,
  pod1: 'fd00:10:244:1::11',
  pod2: 'fd00:10:244:1::12',
  pod2b: 'fd00:10:244:1::13',
  remote: 'fd00:10:244:2::21',
  remote2: 'fd00:10:244:2::22',
  overlay: 'fd00:10:244:3::2',
  narrow: 'fd00:10:244:4::4',
  unresolved: 'fd00:10:244:9::9',
  nowhere: 'fd00:10:244:66::6',
  client: '2001:db8:cafe::7',
  client2: '2001:db8:beef::8',
  node: '2001:db8:2::10',
  node2nd: '2001:db8:51::10',
  nodeOverlay: 'fd00:10:244:3::1',
  loopback: '::1',
  vip: 'fd00:10:96::10',
  vip2: 'fd00:10:96::11',
  lb: '2001:db8:2::127',
  hairpin: 'fd00:5408:1::1',
  nodePort: (port) => `*6:${port}`,
  clientRange: '2001:db8:cafe::/64',
  podRange: 'fd00:10:244:1::/64',
};

export const BOOKS: Book[] = [V4, V6];
