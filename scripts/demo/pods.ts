import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

/** A pod that some manifest describes, and the servers that the demo runs in it. */
export interface DemoPod {
  /** In the box: made from the address, since names there are short and unique. */
  boxName: string;
  name: string;
  node: string;
  ipv4: string;
  ipv6: string;
  http: number[];
  udp: number[];
}

/** The part of a Pod that the demo reads. */
interface PodManifest {
  kind?: string;
  metadata?: { name?: string };
  spec?: {
    nodeName?: string;
    containers?: { ports?: { containerPort: number; protocol?: string }[] }[];
  };
  status?: { podIP?: string; podIPs?: { ip: string }[] };
}

/** Every Pod with addresses and a node in the YAML files of a directory. */
export function readPods(directory: string): DemoPod[] {
  const files = readdirSync(directory)
    .filter((file) => file.endsWith('.yaml'))
    .sort();
  return files.flatMap((file) =>
    parseAllDocuments(readFileSync(join(directory, file), 'utf8'))
      .map((document) => document.toJS() as PodManifest | null)
      .flatMap((object) => (object?.kind === 'Pod' ? podOf(object) : [])),
  );
}

function podOf(pod: PodManifest): DemoPod[] {
  const addresses = (pod.status?.podIPs ?? []).map(({ ip }) => ip);
  const ipv4 = addresses.find((ip) => !ip.includes(':'));
  const ipv6 = addresses.find((ip) => ip.includes(':'));
  const node = pod.spec?.nodeName;
  if (ipv4 === undefined || ipv6 === undefined || node === undefined) return [];
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  const portsOf = (protocol: string) =>
    ports.filter((port) => (port.protocol ?? 'TCP') === protocol).map((port) => port.containerPort);
  return [
    {
      boxName: `p${ipv4.split('.').slice(2).join('-')}`,
      name: pod.metadata?.name ?? ipv4,
      node,
      ipv4,
      ipv6,
      http: portsOf('TCP'),
      udp: portsOf('UDP'),
    },
  ];
}
