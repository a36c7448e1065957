/** kube-proxy in nftables mode: one table per family, all of it kube-proxy's. */
import { TakeoverError } from './errors.js';
import type { Machine, Output } from './machine.js';
import { KEEP_TABLE, NFT_TABLE } from './names.js';
import type { Family, FamilyPort, ServedPort } from './rules.js';

const FAMILY_WORD: Record<Family, string> = { 4: 'ip', 6: 'ip6' };

export interface NftState {
  /** Families with a table of kube-proxy's. */
  families: Family[];
  ports: FamilyPort[];
  /** Families with our keep table. */
  keeping: Family[];
}

/** @returns undefined when there is no nft program. */
export async function readNft(machine: Machine): Promise<NftState | undefined> {
  const output = await machine.run(['nft', 'list', 'tables']);
  if (!output) return undefined;
  if (output.code !== 0) throw failed('list tables', output);
  const tables = new Set(output.stdout.split('\n').map((line) => line.trim()));
  const having = (name: string) =>
    ([4, 6] as const).filter((f) => tables.has(`table ${FAMILY_WORD[f]} ${name}`));
  const families = having(NFT_TABLE);
  const ports: FamilyPort[] = [];
  for (const family of families) for (const port of await servedPorts(machine, family)) ports.push(port);
  return { families, ports, keeping: having(KEEP_TABLE) };
}

async function servedPorts(machine: Machine, family: Family): Promise<FamilyPort[]> {
  const ports: FamilyPort[] = [];
  for (const map of ['service-ips', 'service-nodeports']) {
    const output = await machine.run(['nft', '-j', 'list', 'map', FAMILY_WORD[family], NFT_TABLE, map]);
    // A version of kube-proxy without this map has nothing in it.
    if (output?.code === 0) for (const port of parseMap(output.stdout)) ports.push({ ...port, family });
  }
  return ports;
}

/** service-ULMVA6XW-namespace/name/tcp/port */
const SERVICE_OF_CHAIN = /^[a-z-]+-[A-Z0-9]{8}-([^/]+\/[^/]+)\//;

/** Elements of `nft -j list map`: [address, protocol, port], or [protocol, port] of a NodePort. */
export function parseMap(json: string): ServedPort[] {
  const { nftables } = JSON.parse(json) as { nftables: { map?: { elem?: unknown[] } }[] };
  const elements = nftables.flatMap(({ map }) => map?.elem ?? []);
  const ports: ServedPort[] = [];
  for (const element of elements) {
    const key = Array.isArray(element)
      ? (element[0] as { concat?: unknown[]; elem?: { val?: unknown } })
      : undefined;
    const value = (key?.elem?.val as { concat?: unknown[] } | undefined) ?? key;
    const parts = value?.concat;
    if (!parts || (parts.length !== 2 && parts.length !== 3)) continue;
    const [ip, protocol, port] = parts.length === 3 ? parts : ['*', ...parts];
    const { goto } = ((element as unknown[])[1] ?? {}) as { goto?: { target?: string } };
    const service = SERVICE_OF_CHAIN.exec(goto?.target ?? '')?.[1];
    ports.push({
      ...(service !== undefined && { service }),
      ...{ ip: String(ip), protocol: String(protocol).toUpperCase(), port: Number(port) },
    });
  }
  return ports;
}

/**
 * nf_conntrack and nf_nat work in a network namespace only as long as somebody's rules there ask for them. Where
 * kube-proxy's were the last, the connections that it has begun would lose their translation with them, and be
 * reset. This table asks for both, and does nothing with any packet.
 */
export function keepScript(families: readonly Family[]): string {
  return families
    .map(
      (family) => `table ${FAMILY_WORD[family]} ${KEEP_TABLE} {
\tchain keep-nat {
\t\ttype nat hook postrouting priority 200; policy accept;
\t\tct state invalid
\t}
}
`,
    )
    .join('');
}

export function deleteScript(families: readonly Family[], table: string): string {
  return families.map((family) => `delete table ${FAMILY_WORD[family]} ${table}\n`).join('');
}

/** One transaction. @throws TakeoverError with what nft says. */
export async function applyNft(machine: Machine, script: string): Promise<void> {
  if (script === '') return;
  const output = await machine.run(['nft', '-f', '-'], script);
  if (!output)
    throw new TakeoverError('ENOENT', 'change nftables: there is no nft program (ENOENT). install nftables');
  if (output.code !== 0) throw failed('change tables', output);
}

function failed(what: string, { code, stderr }: Output): TakeoverError {
  return new TakeoverError(
    'EIO',
    `${what}: nft says '${stderr.trim().slice(0, 500)}' (exit code ${code}). run it as root`,
  );
}
